#include "server/generation.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "server/openai_response.h"
#include "server/prepare.h"
#include "server/sse.h"
#include "server/token_feed.h"

namespace tq::server {
namespace {

constexpr size_t kFeedBytesMax = 8ull << 20;
constexpr std::chrono::seconds kDeadlineGrace{1};  // the engine ends a late request first

// Sequences in the engine. What has not finished when this goes out of scope is cancelled: also
// when the coroutine's frame is destroyed at shutdown.
class Admitted {
 public:
  explicit Admitted(engine::Engine& engine) : engine_(engine) {}
  ~Admitted() { cancel_rest(); }
  Admitted(const Admitted&) = delete;
  Admitted& operator=(const Admitted&) = delete;

  void add(SeqId id) { entries_.push_back({id, false}); }
  void finished(int choice) {
    entries_[static_cast<size_t>(choice)].finished = true;
    ++n_finished_;
  }
  void cancel_rest() {
    for (Entry& entry : entries_) {
      if (!entry.finished) engine_.cancel(entry.id);
      entry.finished = true;
    }
    n_finished_ = entries_.size();
  }
  bool all_finished() const noexcept { return n_finished_ == entries_.size(); }

 private:
  struct Entry {
    SeqId id;
    bool finished;
  };
  engine::Engine& engine_;
  std::vector<Entry> entries_;
  size_t n_finished_ = 0;
};

// All or nothing: an error cancels what was admitted before it.
Result<void> admit(App& app, std::vector<engine::Job> jobs, TokenFeed& feed, Admitted& admitted) {
  for (size_t i = 0; i < jobs.size(); ++i) {
    jobs[i].sink = feed.sink(static_cast<int>(i));
    auto id = app.engine.submit(std::move(jobs[i]));
    if (!id) {
      admitted.cancel_rest();
      return std::move(id).error();
    }
    admitted.add(*id);
  }
  return {};
}

struct Prepared {
  GenerationRequest request;
  std::vector<PreparedPrompt> prompts;
  std::vector<engine::Job> jobs;
};

Result<Prepared> prepare(const App& app, ApiKind kind, const std::string& body) {
  Prepared out;
  TQ_ASSIGN(out.request, kind == ApiKind::kChat ? parse_chat_request(body, app.api)
                                                : parse_completion_request(body, app.api));
  TQ_ASSIGN(out.prompts, prepare_prompts(app, out.request));
  TQ_ASSIGN(out.jobs, make_jobs(app, out.request, out.prompts));
  return out;
}

// The error that a finish stands for, where it is one.
std::optional<Error> finish_error(const engine::Finish& finish) {
  switch (finish.reason) {
    case engine::FinishReason::kStop:
    case engine::FinishReason::kLength: return std::nullopt;
    case engine::FinishReason::kCancelled:
      return Error{Code::kUnavailable, "the request was cancelled: the server is shutting down",
                   ""};
    case engine::FinishReason::kError: break;
  }
  return finish.error.value_or(Error{Code::kInternal, "the engine failed", ""});
}

// What streamed and whole answers share: waiting for news, and counting.
class Run {
 public:
  Run(App& app, Exchange& exchange, Prepared& prepared, Clock::time_point deadline)
      : app_(app),
        exchange_(exchange),
        prepared_(prepared),
        identity_(make_identity(prepared.request.kind, app.api.model_name)),
        deadline_(deadline),
        feed_(std::make_shared<TokenFeed>(
            exchange.connection().strand(), static_cast<int>(prepared.jobs.size()), kFeedBytesMax)),
        admitted_(app.engine),
        n_choices_(static_cast<int>(prepared.jobs.size())) {}

  Result<void> admit_all() { return admit(app_, std::move(prepared_.jobs), *feed_, admitted_); }
  std::shared_ptr<TokenFeed> feed() { return feed_; }

  asio::awaitable<bool> stream();
  asio::awaitable<bool> collect();

 private:
  enum class News { kEvents, kGone, kLate, kSilence };

  asio::awaitable<News> wait(Clock::time_point silence_until);
  void count(const TokenFeed::Event& event);
  std::string first_events(const ChunkWriter& writer) const;
  std::optional<Error> append_events(ChunkWriter& writer, std::string& out);
  asio::awaitable<bool> fail_stream(Error error);
  bool gone() {
    app_.http.disconnects.fetch_add(1, std::memory_order_relaxed);
    return false;
  }

  App& app_;
  Exchange& exchange_;
  Prepared& prepared_;
  const AnswerIdentity identity_;
  const Clock::time_point deadline_;
  std::shared_ptr<TokenFeed> feed_;
  Admitted admitted_;
  const int n_choices_;
  std::vector<TokenFeed::Event> events_;  // that the last wait() brought
  engine::Usage usage_;
};

asio::awaitable<Run::News> Run::wait(Clock::time_point silence_until) {
  while (true) {
    if (exchange_.connection().client_gone() || feed_->overflowed()) co_return News::kGone;
    events_ = feed_->take();
    if (!events_.empty()) co_return News::kEvents;
    const auto now = Clock::now();
    if (now >= deadline_) co_return News::kLate;
    if (now >= silence_until) co_return News::kSilence;
    co_await feed_->signal().wait_until(std::min(deadline_, silence_until));
  }
}

// Choices of one prompt share its tokens: they count once.
void Run::count(const TokenFeed::Event& event) {
  if (!event.finish) return;
  admitted_.finished(event.choice);
  const engine::Usage& usage = event.finish->usage;
  usage_.completion_tokens += usage.completion_tokens;
  if (event.choice % prepared_.request.n != 0) return;
  usage_.prompt_tokens += usage.prompt_tokens;
  usage_.cached_tokens += usage.cached_tokens;
}

std::string Run::first_events(const ChunkWriter& writer) const {
  std::string out;
  const bool chat = prepared_.request.kind == ApiKind::kChat;
  for (int choice = 0; choice < n_choices_; ++choice) {
    if (chat) {
      append_event(out, writer.role(choice));
    } else if (prepared_.request.echo) {
      const auto prompt = static_cast<size_t>(choice / prepared_.request.n);
      append_event(out, writer.text(choice, prepared_.prompts[prompt].text));
    }
  }
  return out;
}

std::optional<Error> Run::append_events(ChunkWriter& writer, std::string& out) {
  for (const TokenFeed::Event& event : events_) {
    count(event);
    if (!event.delta.text.empty() || !event.delta.logprobs.empty()) {
      append_event(out, writer.delta(event.choice, event.delta));
    }
    if (!event.finish) continue;
    if (auto error = finish_error(*event.finish)) return error;
    append_event(out, writer.finish(event.choice, event.finish->reason));
  }
  return std::nullopt;
}

asio::awaitable<bool> Run::fail_stream(Error error) {
  admitted_.cancel_rest();  // before the client hears of it
  std::string out;
  append_event(out, error_json(error));
  out += kSseDone;
  const bool written = co_await exchange_.end_stream(out);
  co_return written;
}

asio::awaitable<bool> Run::stream() {
  ChunkWriter writer(identity_, prepared_.request.include_usage, n_choices_);
  const std::chrono::milliseconds silence{app_.config.ping_ms};
  std::string out = first_events(writer);
  bool written = co_await exchange_.begin_stream(out);
  while (written && !admitted_.all_finished()) {
    const News news = co_await wait(Clock::now() + silence);
    if (news == News::kGone) co_return gone();
    if (news == News::kLate) {
      Error late{Code::kDeadline, "the request took too long", ""};
      written = co_await fail_stream(std::move(late));
      co_return written;
    }
    out.clear();
    if (news == News::kSilence) {
      out += kSsePing;
    } else if (auto error = append_events(writer, out)) {
      if (!out.empty()) written = co_await exchange_.send(out);
      if (written) written = co_await fail_stream(std::move(*error));
      co_return written;
    }
    if (!out.empty()) written = co_await exchange_.send(out);
  }
  if (!written) co_return gone();
  out.clear();
  if (prepared_.request.include_usage) append_event(out, writer.usage(usage_));
  out += kSseDone;
  written = co_await exchange_.end_stream(out);
  co_return written;
}

asio::awaitable<bool> Run::collect() {
  std::vector<ChoiceOutput> choices(static_cast<size_t>(n_choices_));
  for (size_t i = 0; i < choices.size() && prepared_.request.echo; ++i) {
    choices[i].text = prepared_.prompts[i / static_cast<size_t>(prepared_.request.n)].text;
  }
  std::optional<Error> failed;
  while (!failed && !admitted_.all_finished()) {
    const News news = co_await wait(Clock::time_point::max());
    if (news == News::kGone) co_return gone();
    if (news == News::kLate) failed = Error{Code::kDeadline, "the request took too long", ""};
    for (TokenFeed::Event& event : events_) {
      count(event);
      ChoiceOutput& choice = choices[static_cast<size_t>(event.choice)];
      choice.text += event.delta.text;
      std::move(event.delta.logprobs.begin(), event.delta.logprobs.end(),
                std::back_inserter(choice.logprobs));
      if (!event.finish) continue;
      choice.reason = event.finish->reason;
      if (!failed) failed = finish_error(*event.finish);
    }
  }
  HttpResponse response;
  if (failed) {
    admitted_.cancel_rest();
    response = error_response(*failed);
  } else {
    response.body = whole_answer(identity_, choices, usage_, prepared_.request.sampling.logprobs);
  }
  const bool written = co_await exchange_.respond(std::move(response));
  co_return written;
}

}  // namespace

asio::awaitable<bool> answer_generation(App& app,
                                        Exchange& exchange,
                                        ApiKind kind,
                                        std::string body) {
  auto prepared = prepare(app, kind, body);
  body = std::string();  // it may be large, and the answer may take long
  if (!prepared) {
    HttpResponse refusal = error_response(prepared.error());
    const bool written = co_await exchange.respond(std::move(refusal));
    co_return written;
  }
  const auto deadline = *prepared->jobs.front().deadline + kDeadlineGrace;
  Run run(app, exchange, *prepared, deadline);
  if (auto admitted = run.admit_all(); !admitted) {
    HttpResponse refusal = error_response(admitted.error());
    const bool written = co_await exchange.respond(std::move(refusal));
    co_return written;
  }
  const std::shared_ptr<Connection> connection = exchange.shared_connection();
  const std::shared_ptr<TokenFeed> feed = run.feed();
  feed->on_overflow([connection] { connection->close_now(); });
  connection->start_watch(feed);
  const bool is_stream = prepared->request.stream;
  bool usable = false;
  if (is_stream) {
    usable = co_await run.stream();
  } else {
    usable = co_await run.collect();
  }
  feed->on_overflow(nullptr);
  co_await connection->stop_watch(feed);
  co_return usable && !connection->client_gone();
}

}  // namespace tq::server
