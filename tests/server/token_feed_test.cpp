#include "server/token_feed.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <catch2/catch.hpp>
#include <thread>

using namespace tq;
using namespace tq::server;

namespace {

engine::TokenDelta delta(std::string text, TokenId id = 1) {
  return {.text = std::move(text), .tokens = {id}, .logprobs = {}};
}

struct Received {
  std::string text[2];
  std::vector<TokenId> tokens[2];
  int n_finished = 0;
  int n_takes = 0;
};

asio::awaitable<void> receive(std::shared_ptr<TokenFeed> feed, Received& out) {
  while (out.n_finished < 2) {
    for (TokenFeed::Event& event : feed->take()) {
      out.text[event.choice] += event.delta.text;
      for (const TokenId id : event.delta.tokens) out.tokens[event.choice].push_back(id);
      if (event.finish) ++out.n_finished;
    }
    ++out.n_takes;
    if (out.n_finished < 2) co_await feed->signal().wait_until(Clock::time_point::max());
  }
}

}  // namespace

TEST_CASE("what came before a take is joined, per choice, in order of first arrival") {
  asio::io_context io;
  const auto feed = std::make_shared<TokenFeed>(io.get_executor(), 2, 1 << 20);
  const auto first = feed->sink(0);
  const auto second = feed->sink(1);
  second->on_delta(delta("x"));
  first->on_delta(delta("a"));
  second->on_delta(delta("y"));
  engine::Finish finish;
  finish.reason = engine::FinishReason::kLength;
  first->on_finish(finish);
  const auto events = feed->take();
  REQUIRE(events.size() == 2);
  REQUIRE(events[0].choice == 1);
  REQUIRE(events[0].delta.text == "xy");
  REQUIRE(events[0].delta.tokens.size() == 2);
  REQUIRE_FALSE(events[0].finish.has_value());
  REQUIRE(events[1].delta.text == "a");
  REQUIRE(events[1].finish->reason == engine::FinishReason::kLength);
  REQUIRE(feed->take().empty());
}

TEST_CASE("nothing is lost or reordered between two threads") {
  constexpr int kTokens = 20'000;
  asio::io_context io;
  const asio::any_io_executor strand = asio::make_strand(io);
  const auto feed = std::make_shared<TokenFeed>(strand, 2, 64 << 20);
  Received received;
  asio::co_spawn(strand, receive(feed, received), asio::detached);
  std::thread engine([sinks = std::vector{feed->sink(0), feed->sink(1)}] {
    for (int i = 0; i < kTokens; ++i) sinks[static_cast<size_t>(i % 2)]->on_delta(delta("t", i));
    for (const auto& sink : sinks) sink->on_finish({});
  });
  const auto work = asio::make_work_guard(io);
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) threads.emplace_back([&io] { io.run_for(std::chrono::seconds(20)); });
  engine.join();
  const auto end = Clock::now() + std::chrono::seconds(20);
  std::atomic<bool> done{false};
  while (!done && Clock::now() < end) {
    asio::post(strand, [&] { done = received.n_finished == 2; });
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  io.stop();
  for (std::thread& thread : threads) thread.join();
  REQUIRE(received.n_finished == 2);
  for (const int choice : {0, 1}) {
    REQUIRE(received.tokens[choice].size() == kTokens / 2);
    REQUIRE(std::is_sorted(received.tokens[choice].begin(), received.tokens[choice].end()));
    REQUIRE(received.text[choice].size() == kTokens / 2);
  }
}

TEST_CASE("beyond the bound the rest is dropped and the strand is told") {
  asio::io_context io;
  const auto feed = std::make_shared<TokenFeed>(io.get_executor(), 1, 100);
  int told = 0;
  feed->on_overflow([&] { ++told; });
  const auto sink = feed->sink(0);
  for (int i = 0; i < 1000; ++i) sink->on_delta(delta("0123456789"));
  REQUIRE(feed->overflowed());
  io.poll();
  REQUIRE(told == 1);
  const auto events = feed->take();
  REQUIRE(events.size() == 1);
  REQUIRE(events[0].delta.text.size() <= 100);
}

TEST_CASE("a sink that outlives its feed does nothing") {
  asio::io_context io;
  auto feed = std::make_shared<TokenFeed>(io.get_executor(), 1, 100);
  const auto sink = feed->sink(0);
  feed.reset();
  sink->on_delta(delta("x"));
  sink->on_finish({});
}
