#pragma once
// RecordingSink: an EventSink that keeps everything and lets a test wait for the end. on_* on the
// engine thread, the rest from any.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/event_sink.h"

namespace tq::test {

class RecordingSink final : public engine::EventSink {
 public:
  struct Record {
    std::string text;
    std::vector<TokenId> tokens;
    std::vector<engine::TokenLogprob> logprobs;
    int n_deltas = 0;
    int n_finishes = 0;
    bool delta_after_finish = false;
    std::optional<engine::Finish> finish;
  };

  void on_delta(engine::TokenDelta delta) noexcept override {
    const std::lock_guard lock(mutex_);
    record_.delta_after_finish |= record_.n_finishes > 0;
    ++record_.n_deltas;
    record_.text += delta.text;
    record_.tokens.insert(record_.tokens.end(), delta.tokens.begin(), delta.tokens.end());
    for (auto& logprob : delta.logprobs) record_.logprobs.push_back(std::move(logprob));
    changed_.notify_all();
  }

  void on_finish(engine::Finish finish) noexcept override {
    const std::lock_guard lock(mutex_);
    ++record_.n_finishes;
    record_.finish = std::move(finish);
    changed_.notify_all();
  }

  Record record() const {
    const std::lock_guard lock(mutex_);
    return record_;
  }

  // False: the time passed first.
  bool wait_finish(std::chrono::milliseconds patience = std::chrono::seconds(20)) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [this] { return record_.n_finishes > 0; });
  }
  bool wait_tokens(size_t n, std::chrono::milliseconds patience = std::chrono::seconds(20)) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] { return record_.tokens.size() >= n; });
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Record record_;
};

}  // namespace tq::test
