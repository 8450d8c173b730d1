// What the engine does while a step runs on a device, by the order of what happens.

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/engine/engine_rig.h"

using namespace tq;
using namespace tq::engine;
using Rig = test::EngineRig;
using Log = std::vector<std::string>;

namespace {

// Writes what happens on the engine's thread into one log.
struct Logged {
  explicit Logged(bool on_device) {
    rig.controls->on_device = on_device;
    rig.controls->on_begin = [this] { note("begin"); };
    rig.controls->on_end = [this] { note("end"); };
  }

  void note(std::string what) {
    log.push_back(std::move(what));
    if (on_note) on_note(log);
  }

  struct Sink final : EventSink {
    explicit Sink(Logged& log) : logged(log) {}
    void on_delta(TokenDelta delta) noexcept override {
      logged.note("token");
      inner.on_delta(std::move(delta));
    }
    void on_finish(Finish finish) noexcept override {
      logged.note("finish");
      inner.on_finish(std::move(finish));
    }
    Logged& logged;
    test::RecordingSink inner;
  };

  // Returns what the sink recorded when it is finished.
  test::RecordingSink::Record run(int64_t max_tokens) {
    Job job = Rig::job("abc", max_tokens);
    const auto sink = std::make_shared<Sink>(*this);
    job.sink = sink;
    const auto submitted = rig.engine->submit(std::move(job));
    REQUIRE(submitted.ok());
    id.set_value(*submitted);
    REQUIRE(sink->inner.wait_finish());
    return sink->inner.record();
  }

  // Ends the engine: nothing is written any more.
  const Log& stopped() {
    rig.engine->stop();
    return log;
  }

  Log log;
  std::function<void(const Log&)> on_note;
  std::promise<SeqId> id;
  Rig rig;
};

}  // namespace

TEST_CASE("on a device a step's tokens are told while the next one runs") {
  Logged logged(/*on_device=*/true);
  logged.run(3);
  CHECK(logged.stopped() ==
        Log{"begin", "end", "begin", "token", "end", "begin", "token", "end", "token", "finish"});
}

TEST_CASE("where a step is computed in the call they are told before it") {
  Logged logged(/*on_device=*/false);
  logged.run(3);
  CHECK(logged.stopped() == Log{"begin", "token", "begin", "token", "begin", "token", "finish"});
}

TEST_CASE("what comes while a step runs counts from the next one on") {
  Logged logged(/*on_device=*/true);
  const auto is_second_step = [](const Log& log) {
    return log == Log{"begin", "end", "begin", "token"};
  };

  SECTION("a cancel: the running step's token is told, then the end") {
    logged.on_note = [&](const Log& log) {
      if (is_second_step(log)) logged.rig.engine->cancel(logged.id.get_future().get());
    };
    CHECK(logged.run(100).finish->reason == FinishReason::kCancelled);
    CHECK(logged.stopped() == Log{"begin", "end", "begin", "token", "end", "token", "finish"});
  }
  SECTION("a stop: the same") {
    std::thread stopper;
    logged.on_note = [&](const Log& log) {
      if (!is_second_step(log)) return;
      stopper = std::thread([&] { logged.rig.engine->stop(); });
      Job job = Rig::job("refused from then on", 1);
      job.sink = std::make_shared<test::RecordingSink>();
      while (logged.rig.engine->submit(job).ok()) std::this_thread::yield();
    };
    const auto record = logged.run(3000);
    stopper.join();
    CHECK(record.finish->reason == FinishReason::kCancelled);
    CHECK(static_cast<int64_t>(record.tokens.size()) == record.finish->usage.completion_tokens);
    CHECK(logged.log.back() == "finish");
    CHECK(std::ranges::count(logged.log, "finish") == 1);
  }
  SECTION("a request: it is in the next step") {
    const auto other = std::make_shared<test::RecordingSink>();
    logged.on_note = [&](const Log& log) {
      if (!is_second_step(log)) return;
      Job job = Rig::job("other", 1);
      job.sink = other;
      CHECK(logged.rig.engine->submit(job).ok());
    };
    logged.run(4);
    REQUIRE(other->wait_finish());
    logged.stopped();
    CHECK(logged.rig.engine->stats().steps == 4);
    CHECK(other->record().tokens == Rig::oracle("other", 1));
  }
}

TEST_CASE("a step that fails holds back nobody's tokens") {
  const bool on_device = GENERATE(false, true);
  Logged logged(on_device);
  logged.rig.controls->fail_at_step = 2;
  const auto record = logged.run(100);
  CHECK(record.finish->reason == FinishReason::kError);
  CHECK(record.n_finishes == 1);
  CHECK_FALSE(record.delta_after_finish);
  CHECK(record.tokens == Rig::oracle("abc", 2));
}
