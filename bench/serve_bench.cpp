#include "bench/serve_bench.h"

#include <CLI/CLI.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bench/load_client.h"
#include "bench/machine.h"
#include "bench/results.h"
#include "bench/serve_report.h"
#include "quant/random.h"

namespace tq::bench {
namespace {

namespace asio = boost::asio;

struct Options {
  std::string url = "http://127.0.0.1:8000";
  std::string model;
  std::string api_key;
  bool completions = false;
  int streams = 8;
  int requests = 64;
  double rate = 0;  // requests per second; 0: closed loop
  int prompt_words = 200;
  int shared_words = 0;
  int output_tokens = 64;
  bool ignore_eos = true;
  int timeout_s = 300;
  uint64_t seed = 1;
  std::string json_path;
};

// Short words that most vocabularies hold as one token each, so that a prompt has about as many
// tokens.
constexpr const char* kWords[] = {
    "time",  "year",       "people", "way",   "day",    "man",     "thing",  "woman",   "life",
    "child", "world",      "school", "state", "family", "student", "group",  "country", "problem",
    "hand",  "part",       "place",  "case",  "week",   "company", "system", "program", "question",
    "work",  "government", "number", "night", "point",  "home",    "water",  "room"};

std::string words(quant::Rng& random, int n) {
  std::string text;
  for (int i = 0; i < n; ++i) {
    text += kWords[random.below(static_cast<int>(std::size(kWords)))];
    text += ' ';
  }
  return text;
}

// The load: request i is the same in every run with the same flags.
class Load {
 public:
  explicit Load(const Options& options) : options_(options) {
    quant::Rng random(options.seed, quant::RngStream::kData);
    shared_ = words(random, options.shared_words);
  }

  std::string path() const {
    return options_.completions ? "/v1/completions" : "/v1/chat/completions";
  }

  std::string body(int index) const {
    quant::Rng random(options_.seed + 1 + static_cast<uint64_t>(index), quant::RngStream::kData);
    const std::string prompt = shared_ + words(random, options_.prompt_words);
    nlohmann::json request = {{"model", options_.model},
                              {"stream", true},
                              {"stream_options", {{"include_usage", true}}},
                              {"max_tokens", options_.output_tokens},
                              {"temperature", 0}};
    if (options_.ignore_eos) request["ignore_eos"] = true;
    if (options_.completions) {
      request["prompt"] = prompt;
    } else {
      request["messages"] = {{{"role", "user"}, {"content", prompt}}};
    }
    return request.dump();
  }

 private:
  const Options& options_;
  std::string shared_;
};

struct Run {
  const Options& options;
  Target target;
  Load load;
  std::vector<Trace> traces;
  int next = 0;
};

asio::awaitable<void> one_request(Run& run, int index, Clock::time_point start) {
  run.traces[static_cast<size_t>(index)] =
      co_await run_stream(run.target, run.load.path(), run.load.body(index), start,
                          std::chrono::seconds(run.options.timeout_s));
}

asio::awaitable<void> closed_stream(Run& run) {
  while (run.next < run.options.requests) {
    const int index = run.next++;
    co_await one_request(run, index, Clock::now());
  }
}

// Arrivals of a Poisson process: the wait between two is exponential with mean 1 / rate.
asio::awaitable<void> open_loop(Run& run) {
  const auto executor = co_await asio::this_coro::executor;
  quant::Rng random(run.options.seed, quant::RngStream::kData);
  asio::steady_timer timer(executor);
  auto due = Clock::now();
  for (int index = 0; index < run.options.requests; ++index) {
    timer.expires_at(due);
    co_await timer.async_wait(asio::use_awaitable);
    asio::co_spawn(executor, one_request(run, index, due), asio::detached);
    const double wait_s = -std::log1p(-random.uniform()) / run.options.rate;
    due += std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(wait_s));
  }
}

// The id of the first model that the server lists.
Result<std::string> first_model(const Target& target) {
  asio::io_context io;
  std::optional<Result<std::string>> listed;
  const auto ask = [&]() -> asio::awaitable<void> {
    listed.emplace(co_await get(target, "/v1/models", std::chrono::seconds(10)));
  };
  asio::co_spawn(io, ask, asio::detached);
  io.run();
  TQ_ASSIGN(const std::string body, *std::move(listed));
  const auto parsed = nlohmann::json::parse(body, nullptr, false);
  const auto* data = parsed.is_object() && parsed.contains("data") ? &parsed["data"] : nullptr;
  if (data == nullptr || !data->is_array() || data->empty() || !data->front().contains("id") ||
      !data->front()["id"].is_string()) {
    return Error{Code::kCorrupt, "/v1/models lists no model; name one with --model", "--url"};
  }
  return data->front()["id"].get<std::string>();
}

void add_flags(CLI::App& app, Options& options) {
  app.add_option("--url", options.url, "server, http://host[:port][/prefix]")
      ->capture_default_str();
  app.add_option("--model", options.model, "model to ask for; default: the first that is listed");
  app.add_option("--api-key", options.api_key, "sent as a Bearer token");
  app.add_flag("--completions", options.completions, "/v1/completions instead of chat");
  app.add_option("--streams", options.streams, "closed loop: requests at once")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--rate", options.rate, "open loop: arrivals per second; 0: closed loop")
      ->check(CLI::Range(0.0, 10000.0))
      ->capture_default_str();
  app.add_option("--requests", options.requests, "in all")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_option("--prompt", options.prompt_words, "words of each prompt, about a token each")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_option("--shared-prefix", options.shared_words, "words that all prompts begin with")
      ->check(CLI::Range(0, 1000000))
      ->capture_default_str();
  app.add_option("--output", options.output_tokens, "tokens of each answer")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_flag("!--stop-at-eos", options.ignore_eos, "let the model end its answers early");
  app.add_option("--timeout", options.timeout_s, "seconds for one request")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  app.add_option("--seed", options.seed, "of prompts and arrivals")->capture_default_str();
  app.add_option("--json", options.json_path, "also write the figures to this file");
}

nlohmann::json to_json(const Options& options, const ServeReport& report) {
  nlohmann::json document = to_json(report);
  document["streams"] = options.streams;
  document["rate"] = options.rate;
  return document;
}

}  // namespace

int run_serve(int argc, char** argv) {
  Options options;
  CLI::App app("Load test over HTTP of any OpenAI-compatible server.", "turboquant-bench serve");
  add_flags(app, options);
  CLI11_PARSE(app, argc, argv);

  auto target = parse_target(options.url);
  if (!target) return fail(target.error());
  target->api_key = options.api_key;
  if (options.model.empty()) {
    auto model = first_model(*target);
    if (!model) return fail(model.error());
    options.model = std::move(*model);
  }

  asio::io_context io;
  Run run{options, *target, Load(options),
          std::vector<Trace>(static_cast<size_t>(options.requests))};
  if (options.rate > 0) {
    asio::co_spawn(io, open_loop(run), asio::detached);
  } else {
    for (int i = 0; i < options.streams; ++i)
      asio::co_spawn(io, closed_stream(run), asio::detached);
  }
  io.run();

  const ServeReport report = summarise(run.traces);
  std::printf("%s; seed %llu\n%s, model %s, ", provenance().c_str(),
              static_cast<unsigned long long>(options.seed), options.url.c_str(),
              options.model.c_str());
  if (options.rate > 0) {
    std::printf("open loop %.2f requests/s", options.rate);
  } else {
    std::printf("closed loop, %d streams", options.streams);
  }
  std::printf(", prompt %d+%d words, output %d tokens\n\n%s", options.shared_words,
              options.prompt_words, options.output_tokens, to_markdown(report).c_str());
  const auto written = write_json(options.json_path, to_json(options, report), options.seed);
  if (!written) return fail(written.error());
  return report.n_ok == report.n_requests ? 0 : 1;
}

}  // namespace tq::bench
