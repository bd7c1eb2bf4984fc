#include "replay/serve/out_queue.hpp"

#include <utility>

namespace mdpipe::replay {

void OutQueue::append_text(std::string_view text, bool is_json, std::uint32_t trade_count,
                           std::optional<std::int64_t> due_ns) {
  const std::size_t frame_begin = filling_.bytes.size();
  const std::size_t text_begin = append_frame(Opcode::text, text, filling_.bytes);
  filling_.marks.push_back(
      {frame_begin, text_begin, text.size(), filling_.bytes.size(), trade_count, is_json, /*aside=*/false, due_ns});
}

void OutQueue::append_control(Opcode opcode, std::string_view payload) {
  append_frame(opcode, payload, filling_.bytes);
}

void OutQueue::append_close(std::uint16_t code, std::string_view reason) {
  replay::append_close(code, reason, filling_.bytes);
}

void OutQueue::append_raw(std::string_view bytes) {
  filling_.bytes.append(bytes);
}

void OutQueue::append_message(std::string_view wire, std::string_view text, bool is_json, std::uint32_t trade_count) {
  const std::size_t frame_begin = filling_.bytes.size();
  filling_.bytes.append(wire);
  filling_.marks.push_back({frame_begin, filling_.aside.size(), text.size(), filling_.bytes.size(), trade_count,
                            is_json,
                            /*aside=*/true});
  filling_.aside.append(text);
}

void OutQueue::append_hold(const Hold& hold, std::size_t bytes_before_end) {
  filling_.holds.push_back({filling_.bytes.size() - bytes_before_end, hold});
}

void OutQueue::append_note(std::string note, std::size_t bytes_before_end) {
  filling_.notes.push_back({filling_.bytes.size() - bytes_before_end, std::move(note)});
}

std::string_view OutQueue::front() {
  if (sent_ == sending_.bytes.size() && passed_ == sending_.holds.size()) {
    std::swap(filling_, sending_);
    filling_.clear();
    sent_ = 0;
    told_ = 0;
    passed_ = 0;
    noted_ = 0;
  }
  const std::size_t end = passed_ < sending_.holds.size() ? sending_.holds[passed_].at : sending_.bytes.size();
  return std::string_view(sending_.bytes).substr(sent_, end - sent_);
}

void OutQueue::insert_text(std::string_view text) {
  std::string frame;
  append_frame(Opcode::text, text, frame);
  insert(frame, text);
}

void OutQueue::insert_control(Opcode opcode, std::string_view payload) {
  std::string frame;
  append_frame(opcode, payload, frame);
  insert(frame, {});
}

/// A hold at the very end of a part has nothing behind it there: the place is the same.
void OutQueue::insert(std::string_view frame, std::string_view text) {
  sending_.bytes.insert(sent_, frame);
  for (std::size_t i = told_; i < sending_.marks.size(); ++i) {
    Mark& mark = sending_.marks[i];
    mark.frame_begin += frame.size();
    mark.text_begin += mark.aside ? 0 : frame.size();
    mark.end += frame.size();
  }
  for (std::size_t i = passed_; i < sending_.holds.size(); ++i) {
    sending_.holds[i].at += frame.size();
  }
  for (std::size_t i = noted_; i < sending_.notes.size(); ++i) {
    sending_.notes[i].at += frame.size();
  }
  if (!text.empty()) {
    const std::size_t end = sent_ + frame.size();
    sending_.marks.insert(sending_.marks.begin() + static_cast<std::ptrdiff_t>(told_),
                          {sent_, end - text.size(), text.size(), end, 0, true, /*aside=*/false});
  }
}

void OutQueue::Part::clear() noexcept {
  bytes.clear();
  aside.clear();
  marks.clear();
  holds.clear();
  notes.clear();
}

void OutQueue::drop_waiting() noexcept {
  filling_.clear();
}

std::size_t OutQueue::partly_sent_bytes() const noexcept {
  if (told_ < sending_.marks.size() && sending_.marks[told_].frame_begin < sent_) {
    return sent_ - sending_.marks[told_].frame_begin;
  }
  return 0;
}

}  // namespace mdpipe::replay
