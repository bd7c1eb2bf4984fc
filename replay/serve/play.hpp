#pragma once
/// \file
/// A market and what drives it.

#include <functional>
#include <memory>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "replay/serve/connection.hpp"
#include "replay/serve/market.hpp"
#include "replay/serve/server.hpp"
#include "replay/session/read_ahead.hpp"

namespace mdpipe::replay {

/// Thread safety: that of its io_context, but `wake` is posted there by the thread that reads ahead.
struct Play : std::enable_shared_from_this<Play> {
  Play(boost::asio::io_context& io, const ServeOptions& options, const std::function<void(Play&)>& wake)
      : timer(io),
        ahead(options.session, options.rounds,
              [this, &io, wake] {
                boost::asio::post(io, [weak = weak_from_this(), wake] {
                  if (const auto self = weak.lock()) {
                    wake(*self);
                  }
                });
              }),
        market(options.pace, ahead) {}

  boost::asio::steady_timer timer;
  ReadAhead ahead;
  Market market;
  std::vector<std::shared_ptr<Connection>> connections;
  bool over = false;
  bool due_soon = false;  // --precise: its next step is waited for with the processor
};

}  // namespace mdpipe::replay
