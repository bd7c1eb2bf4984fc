#pragma once
/// \file
/// What waits to be sent on one connection, and which of it the kernel has taken wholly.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "replay/serve/websocket.hpp"

namespace mdpipe::replay {

/// A place in the bytes where sending stops until whoever sends has done something.
struct Hold {
  enum class Kind : std::uint8_t {
    pause,  ///< wait for `pause_ms`, then go on
    mute,   ///< send nothing more; the connection stays until somebody ends it
    close,  ///< close in good order, with `code`
    end,    ///< the stream ends without a close frame
    reset,  ///< the connection is reset
  };
  Kind kind;
  std::uint32_t pause_ms = 0;
  std::uint16_t code = 0;
  bool pings = false;  ///< pause, mute: pings (ours, and answers to the client's) go out all the same
};

/// Frames are put behind each other, so that one send takes many. Thread safety: none.
class OutQueue {
 public:
  struct Sent {
    std::string_view text;
    bool is_json;
    std::uint32_t trade_count;
    std::optional<std::int64_t> due_ns;
  };

  /// `due_ns`: of a frame of the session, when it is to be sent (see Schedule).
  void append_text(std::string_view text, bool is_json, std::uint32_t trade_count,
                   std::optional<std::int64_t> due_ns = std::nullopt);
  void append_control(Opcode opcode, std::string_view payload);
  void append_close(std::uint16_t code, std::string_view reason);
  /// Bytes that are no frame: the answer to the handshake.
  void append_raw(std::string_view bytes);

  /// A message whose bytes on the wire are not append_text()'s: in fragments, as binary. `wire` are frames that carry
  /// `text`.
  void append_message(std::string_view wire, std::string_view text, bool is_json, std::uint32_t trade_count);
  /// Within the last message or behind it, `bytes` before the end of what is queued. Precondition: that much is queued.
  void append_hold(const Hold& hold, std::size_t bytes_before_end = 0);
  /// `note` is told once the kernel has all that is queued but its last `bytes_before_end`.
  void append_note(std::string note, std::size_t bytes_before_end = 0);

  /// Bytes not yet taken by the kernel.
  [[nodiscard]] std::size_t size() const noexcept { return sending_.bytes.size() - sent_ + filling_.bytes.size(); }

  /// What to hand to the kernel next, up to the next hold; valid, whatever is appended, until taken() or
  /// drop_waiting().
  [[nodiscard]] std::string_view front();

  /// The hold at which sending stands, or null. Ask after front() was empty.
  [[nodiscard]] const Hold* hold() const noexcept {
    return passed_ < sending_.holds.size() && sending_.holds[passed_].at == sent_ ? &sending_.holds[passed_].hold
                                                                                  : nullptr;
  }
  [[nodiscard]] bool has_holds() const noexcept { return passed_ < sending_.holds.size() || !filling_.holds.empty(); }
  void pass_hold() noexcept { ++passed_; }
  /// While sending stands at a hold: a frame that goes out before it.
  void insert_text(std::string_view text);
  void insert_control(Opcode opcode, std::string_view payload);

  /// The kernel has taken so many bytes of front(): calls `on_sent` for each message that is now gone wholly, and
  /// `on_note` with the text of each note that is due, in the order of the bytes.
  template <class OnSent, class OnNote>
  void taken(std::size_t bytes, OnSent&& on_sent, OnNote&& on_note) {
    sent_ += bytes;
    while (true) {
      const bool note_due = noted_ < sending_.notes.size() && sending_.notes[noted_].at <= sent_;
      const bool mark_due = told_ < sending_.marks.size() && sending_.marks[told_].end <= sent_;
      if (mark_due && !(note_due && sending_.notes[noted_].at < sending_.marks[told_].end)) {
        const Mark& mark = sending_.marks[told_++];
        const std::string_view source = mark.aside ? sending_.aside : sending_.bytes;
        on_sent(Sent{source.substr(mark.text_begin, mark.text_bytes), mark.is_json, mark.trade_count, mark.due_ns});
      } else if (note_due) {
        on_note(sending_.notes[noted_++].text);
      } else {
        return;
      }
    }
  }

  /// Where nothing is noted.
  template <class OnSent>
  void taken(std::size_t bytes, OnSent&& on_sent) {
    taken(bytes, on_sent, [](const std::string&) {});
  }

  /// Forgets what is not part of front().
  void drop_waiting() noexcept;

  /// How many bytes of a text frame that is not gone wholly the kernel has: 0 at a frame's border.
  [[nodiscard]] std::size_t partly_sent_bytes() const noexcept;

 private:
  struct Mark {
    std::size_t frame_begin;
    std::size_t text_begin;  // in the bytes, or in what is kept aside
    std::size_t text_bytes;
    std::size_t end;
    std::uint32_t trade_count;
    bool is_json;
    bool aside;
    std::optional<std::int64_t> due_ns = std::nullopt;
  };
  struct PlacedHold {
    std::size_t at;
    Hold hold;
  };
  struct Note {
    std::size_t at;
    std::string text;
  };
  struct Part {
    std::string bytes;
    std::string aside;              // texts that do not lie in one piece in the bytes
    std::vector<Mark> marks;        // of messages
    std::vector<PlacedHold> holds;  // holds and notes: by place, those of one place in order
    std::vector<Note> notes;

    void clear() noexcept;
  };

  void insert(std::string_view frame, std::string_view text);

  Part filling_;
  Part sending_;
  std::size_t sent_ = 0;    // of sending_
  std::size_t told_ = 0;    // marks of sending_
  std::size_t passed_ = 0;  // holds of sending_
  std::size_t noted_ = 0;   // notes of sending_
};

}  // namespace mdpipe::replay
