// Threads and what they do while there is nothing to do.

#include <gmock/gmock.h>
#include <sched.h>

#include <atomic>
#include <stdexcept>
#include <thread>

#include "mdpipe/base/idle.hpp"
#include "mdpipe/base/thread.hpp"

namespace mdpipe {
namespace {

using ::testing::HasSubstr;

TEST(Worker, RunsWhereItIsPlaced) {
  const int core = usable_cores().back();
  int ran_on = -1;
  auto worker = Worker::start("placed", core, [&] { ran_on = ::sched_getcpu(); });
  ASSERT_TRUE(worker);
  EXPECT_FALSE(worker->join());
  EXPECT_EQ(ran_on, core);
}

TEST(Worker, IsRefusedACoreThatTheProcessMayNotUse) {
  const auto worker = Worker::start("misplaced", usable_cores().back() + 1, [] {});
  ASSERT_FALSE(worker);
  EXPECT_EQ(worker.error().code, ErrorCode::usage);
  EXPECT_THAT(worker.error().message, HasSubstr("thread misplaced cannot be placed on core"));
}

TEST(Worker, KeepsWhatItsBodyThrowsForWhoeverJoins) {
  auto worker = Worker::start("thrower", -1, [] { throw std::runtime_error("no more"); });
  ASSERT_TRUE(worker);
  const auto error = worker->join();
  ASSERT_TRUE(error);
  EXPECT_THAT(error->message, HasSubstr("thrower ended by an exception: no more"));
  EXPECT_FALSE(worker->join());
  auto odd = Worker::start("odd", -1, [] { throw 5; });  // NOLINT(hicpp-exception-baseclass): not a std::exception
  ASSERT_TRUE(odd);
  EXPECT_TRUE(odd->join());
}

TEST(IdleKind, IsReadByItsName) {
  for (const IdleKind kind : {IdleKind::spin, IdleKind::backoff, IdleKind::park}) {
    EXPECT_EQ(parse_idle_kind(to_string(kind)).value(), kind);
  }
  EXPECT_EQ(parse_idle_kind("sleep").error().code, ErrorCode::usage);
}

/// Two threads hand a number to and fro, each idle while it is the other's turn. By time-outs alone a parked pair would
/// take longer than the harness allows.
void hand_over(IdleKind kind, bool with_bells, int rounds) {
  std::atomic<int> turn{0};
  Bell bells[2];
  const auto play = [&](int parity) {
    IdleStrategy idle(kind, with_bells ? &bells[parity] : nullptr);
    for (int next = parity; next < rounds; next += 2) {
      while (turn.load(std::memory_order_acquire) != next) {
        idle.idle(false);
      }
      idle.idle(true);
      turn.store(next + 1, std::memory_order_release);
      bells[1 - parity].ring();
    }
  };
  std::thread other(play, 1);
  play(0);
  other.join();
  EXPECT_EQ(turn.load(), rounds);
}

TEST(IdleStrategy, WakesWhateverItsKind) {
  hand_over(IdleKind::spin, true, 200);
  hand_over(IdleKind::backoff, true, 200);
  hand_over(IdleKind::park, false, 200);
}

TEST(IdleStrategy, WakesByTheBellAndNotByTheTimeOut) {
  hand_over(IdleKind::park, true, 20'000);
}

}  // namespace
}  // namespace mdpipe
