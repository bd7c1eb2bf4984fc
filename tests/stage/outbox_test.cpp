#include "mdpipe/stage/outbox.hpp"

#include <limits>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace mdpipe::stage {
namespace {

constexpr Position kNothingOutstanding = std::numeric_limits<Position>::max();

void submit(Outbox::Port& port, Position position) {
  OutboxMessage* const message = port.prepare();
  ASSERT_NE(message, nullptr);
  message->position = position + 1'000'000;  // of another order than the causes
  message->cause = position;
  message->key = "K";
  message->value = "value " + std::to_string(position);
  port.submit();
}

TEST(Outbox, KeepsAMessageUntilItIsAcknowledgedAndHoldsBackWhoIsFull) {
  const auto outbox = Outbox::make();
  const auto port = outbox->port(2);
  EXPECT_EQ(port->acknowledged_below(), kNothingOutstanding);
  submit(*port, 10);
  submit(*port, 20);
  EXPECT_EQ(port->prepare(), nullptr);
  EXPECT_EQ(port->acknowledged_below(), 9U);

  const OutboxMessage* const first = outbox->take();
  const OutboxMessage* const second = outbox->take();
  EXPECT_EQ(outbox->take(), nullptr);
  EXPECT_EQ(first->value, "value 10");
  // Out of order: the older one still counts.
  outbox->acknowledge(second);
  EXPECT_EQ(port->prepare(), nullptr);
  EXPECT_EQ(port->acknowledged_below(), 9U);
  EXPECT_EQ(first->value, "value 10");
  outbox->acknowledge(first);
  EXPECT_EQ(port->acknowledged_below(), kNothingOutstanding);
  EXPECT_EQ(port->outstanding(), 0U);
  submit(*port, 30);
  EXPECT_EQ(outbox->take()->value, "value 30");
}

TEST(Outbox, GivesTheSameSlotUntilItIsSubmitted) {
  const auto outbox = Outbox::make();
  const auto port = outbox->port(4);
  OutboxMessage* const slot = port->prepare();
  EXPECT_EQ(port->prepare(), slot);
  EXPECT_EQ(outbox->take(), nullptr);
}

TEST(Outbox, BringsTheMessagesOfEachPortInTheirOrderAcrossThreads) {
  constexpr Position kMessages = 20'000;
  const auto outbox = Outbox::make();
  std::vector<std::unique_ptr<Outbox::Port>> ports;
  for (int i = 0; i < 3; ++i) {
    ports.push_back(outbox->port(64));
  }
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < ports.size(); ++i) {
    threads.emplace_back([&port = *ports[i], i] {
      for (Position position = 1; position <= kMessages;) {
        if (OutboxMessage* const message = port.prepare()) {
          message->source = i;
          message->position = position;
          message->value.assign(position % 100, 'x');
          port.submit();
          ++position;
        } else {
          std::this_thread::yield();
        }
      }
    });
  }
  std::vector<Position> last(ports.size(), 0);
  std::vector<const OutboxMessage*> held;
  std::mt19937 random(1);
  for (Position taken = 0; taken < kMessages * ports.size();) {
    if (const OutboxMessage* const message = outbox->take()) {
      ++taken;
      ASSERT_EQ(message->position, ++last[message->source]);
      ASSERT_EQ(message->value.size(), message->position % 100);
      held.push_back(message);
    }
    if (!held.empty() && random() % 2 == 0) {
      const std::size_t at = random() % held.size();
      outbox->acknowledge(held[at]);
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(at));
    }
  }
}

}  // namespace
}  // namespace mdpipe::stage
