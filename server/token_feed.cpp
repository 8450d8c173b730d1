#include "server/token_feed.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <iterator>
#include <utility>

namespace tq::server {
namespace {

size_t bytes_of(const engine::TokenDelta& delta) {
  size_t bytes = delta.text.size() + delta.tokens.size() * sizeof(TokenId);
  for (const auto& entry : delta.logprobs) {
    bytes += sizeof(entry) + entry.bytes.size() + entry.top.size() * sizeof(engine::TopLogprob);
    for (const auto& top : entry.top) bytes += top.bytes.size();
  }
  return bytes;
}

template <class T>
void append(std::vector<T>& to, std::vector<T>&& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace

class TokenFeed::ChoiceSink : public engine::EventSink {
 public:
  ChoiceSink(std::weak_ptr<TokenFeed> feed, int choice) : feed_(std::move(feed)), choice_(choice) {}

  void on_delta(engine::TokenDelta delta) noexcept override {
    if (const auto feed = feed_.lock()) feed->put(choice_, std::move(delta), std::nullopt);
  }
  void on_finish(engine::Finish finish) noexcept override {
    if (const auto feed = feed_.lock()) feed->put(choice_, {}, std::move(finish));
  }

 private:
  // Weak: the engine may keep a sink, but never a timer of an io_context that has ended.
  std::weak_ptr<TokenFeed> feed_;
  int choice_;
};

TokenFeed::TokenFeed(const asio::any_io_executor& strand, int n_choices, size_t bytes_max)
    : strand_(strand), n_choices_(n_choices), bytes_max_(bytes_max), signal_(strand) {}

std::shared_ptr<engine::EventSink> TokenFeed::sink(int choice) {
  TQ_CHECK(choice >= 0 && choice < n_choices_, "a feed has no such choice", choice, n_choices_);
  return std::make_shared<ChoiceSink>(weak_from_this(), choice);
}

std::vector<TokenFeed::Event> TokenFeed::take() {
  std::vector<Event> out;
  const std::lock_guard lock(mutex_);
  out.swap(pending_);
  pending_bytes_ = 0;
  return out;
}

bool TokenFeed::overflowed() const {
  const std::lock_guard lock(mutex_);
  return overflowed_;
}

void TokenFeed::put(int choice, engine::TokenDelta delta, std::optional<engine::Finish> finish) {
  {
    const std::lock_guard lock(mutex_);
    const size_t bytes = bytes_of(delta);
    if (pending_bytes_ + bytes > bytes_max_) overflowed_ = true;
    if (!overflowed_) {
      const auto found = std::find_if(pending_.begin(), pending_.end(),
                                      [&](const Event& event) { return event.choice == choice; });
      Event& event =
          found != pending_.end() ? *found : pending_.emplace_back(Event{choice, {}, {}});
      event.delta.text += delta.text;
      append(event.delta.tokens, std::move(delta.tokens));
      append(event.delta.logprobs, std::move(delta.logprobs));
      if (finish) event.finish = std::move(finish);
      pending_bytes_ += bytes;
    }
    if (wake_posted_) return;
    wake_posted_ = true;
  }
  wake();
}

void TokenFeed::wake() {
  asio::post(strand_, [self = shared_from_this()] {
    bool overflowed = false;
    {
      const std::lock_guard lock(self->mutex_);
      self->wake_posted_ = false;
      overflowed = self->overflowed_;
    }
    if (overflowed && self->overflow_handler_) self->overflow_handler_();
    self->signal_.notify();
  });
}

}  // namespace tq::server
