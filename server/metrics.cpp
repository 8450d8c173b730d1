#include "server/metrics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace tq::server {
namespace {

// As the format wants it: backslash, quote and newline escaped.
std::string escaped(const std::string& value) {
  std::string out;
  for (const char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    out += c;
  }
  return out;
}

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  std::array<char, 40> text{};
  constexpr double kExact = 9.0e15;  // whole numbers below 2^53 are printed whole
  const bool whole = value == std::floor(value) && std::abs(value) < kExact;
  std::snprintf(text.data(), text.size(), whole ? "%.0f" : "%.12g", value);
  return text.data();
}

class Page {
 public:
  explicit Page(const std::string& model_name)
      : labels_("model_name=\"" + escaped(model_name) + "\",engine=\"0\"") {}

  void family(const std::string& name, const char* type, const char* help) {
    text_ += "# HELP " + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
  }
  void sample(const std::string& name, double value, const std::string& further = "") {
    text_ +=
        name + "{" + labels_ + (further.empty() ? "" : "," + further) + "} " + number(value) + "\n";
  }
  void one(const std::string& name, const char* type, const char* help, double value) {
    family(name, type, help);
    sample(name, value);
  }
  void histogram(const std::string& name, const char* help, const engine::Histogram& h) {
    family(name, "histogram", help);
    const auto bounds = h.bounds();
    uint64_t below = 0;
    for (size_t i = 0; i <= bounds.size(); ++i) {
      below += h.count(static_cast<int>(i));
      const std::string le = i < bounds.size() ? number(bounds[i]) : "+Inf";
      sample(name + "_bucket", static_cast<double>(below), "le=\"" + le + "\"");
    }
    sample(name + "_sum", h.sum());
    sample(name + "_count", static_cast<double>(below));  // of this very reading: equals +Inf
  }
  std::string take() { return std::move(text_); }

 private:
  std::string labels_;
  std::string text_;
};

template <class T>
double read(const std::atomic<T>& value) {
  return static_cast<double>(value.load(std::memory_order_relaxed));
}

double share(const std::atomic<int64_t>& used, const std::atomic<int64_t>& total) {
  const double n = read(total);
  return n > 0.0 ? std::clamp(read(used) / n, 0.0, 1.0) : 0.0;
}

void add_vllm_gauges(Page& page, const engine::EngineStats& s, const KvFacts& kv) {
  page.one("vllm:num_requests_running", "gauge", "Sequences in the running batch.",
           read(s.running));
  page.one("vllm:num_requests_waiting", "gauge", "Sequences that wait to run.", read(s.waiting));
  page.one("vllm:kv_cache_usage_perc", "gauge",
           "Share of KV blocks in use, of the fuller pool; 0 to 1.",
           std::max(share(s.hot_blocks_used, s.hot_blocks_total),
                    share(s.sealed_blocks_used, s.sealed_blocks_total)));
  page.family("vllm:cache_config_info", "gauge", "Configuration of the KV cache.");
  const auto blocks = static_cast<int64_t>(read(s.hot_blocks_total) + read(s.sealed_blocks_total));
  page.sample("vllm:cache_config_info", 1.0,
              "block_size=\"" + std::to_string(kv.block_tokens) + "\",num_gpu_blocks=\"" +
                  std::to_string(blocks) + "\",cache_dtype=\"" + escaped(kv.format) + "\"");
}

void add_vllm_counters(Page& page, const engine::EngineStats& s) {
  page.one("vllm:prompt_tokens_total", "counter", "Prompt tokens processed.",
           read(s.prompt_tokens));
  page.one("vllm:generation_tokens_total", "counter", "Tokens generated.",
           read(s.generation_tokens));
  page.one("vllm:num_preemptions_total", "counter", "Sequences preempted for their blocks.",
           read(s.preemptions));
  page.one("vllm:prefix_cache_queries_total", "counter",
           "Prompt tokens looked up in the prefix cache.", read(s.prefix_queries));
  page.one("vllm:prefix_cache_hits_total", "counter", "Prompt tokens found in the prefix cache.",
           read(s.prefix_hits));
  const std::string success = "vllm:request_success_total";
  page.family(success, "counter", "Finished sequences, by reason.");
  page.sample(success, read(s.finished_stop), "finished_reason=\"stop\"");
  page.sample(success, read(s.finished_length), "finished_reason=\"length\"");
  page.sample(success, read(s.finished_cancelled), "finished_reason=\"abort\"");
  page.sample(success, read(s.finished_error), "finished_reason=\"error\"");
}

void add_vllm_histograms(Page& page, const engine::EngineStats& s) {
  page.histogram("vllm:iteration_tokens_total", "Tokens per step.", s.step_tokens);
  page.histogram("vllm:time_to_first_token_seconds", "From arrival to the first token.",
                 s.time_to_first_token_s);
  page.histogram("vllm:inter_token_latency_seconds", "Between two tokens of a sequence.",
                 s.inter_token_latency_s);
  page.histogram("vllm:e2e_request_latency_seconds", "From arrival to the end.", s.e2e_latency_s);
  page.histogram("vllm:request_queue_time_seconds", "Time waiting to run.", s.queue_s);
  page.histogram("vllm:request_inference_time_seconds", "Time running.", s.inference_s);
  page.histogram("vllm:request_prefill_time_seconds", "Time in prefill.", s.prefill_s);
  page.histogram("vllm:request_decode_time_seconds", "Time in decode.", s.decode_s);
  page.histogram("vllm:request_prompt_tokens", "Prompt tokens of a request.",
                 s.request_prompt_tokens);
  page.histogram("vllm:request_generation_tokens", "Generated tokens of a request.",
                 s.request_generation_tokens);
}

void add_kv(Page& page, const engine::EngineStats& s, const KvFacts& kv) {
  const std::string per_token = "turboquant:kv_bytes_per_token";
  const std::string sealed = "format=\"" + escaped(kv.format) + "\",state=\"sealed\"";
  const std::string hot = "format=\"bf16\",state=\"hot\"";
  page.family(per_token, "gauge", "Bytes one token takes in the KV cache, scales included.");
  page.sample(per_token, kv.sealed_bytes_per_token, sealed);
  page.sample(per_token, kv.hot_bytes_per_token, hot);
  const double ratio =
      kv.hot_bytes_per_token > 0.0 ? kv.sealed_bytes_per_token / kv.hot_bytes_per_token : 1.0;
  page.one("turboquant:kv_bytes_ratio", "gauge", "Bytes of a sealed token over those of bf16.",
           ratio);
  page.one("turboquant:kv_compression_ratio", "gauge",
           "Bytes of bf16 over those of a sealed token.", ratio > 0.0 ? 1.0 / ratio : 0.0);
  page.one("turboquant:tokens_held", "gauge", "Tokens in the KV cache of running sequences.",
           read(s.tokens_held));
  page.family("turboquant:kv_blocks_used", "gauge", "KV blocks that sequences use.");
  page.sample("turboquant:kv_blocks_used", read(s.hot_blocks_used), hot);
  page.sample("turboquant:kv_blocks_used", read(s.sealed_blocks_used), sealed);
  page.family("turboquant:kv_blocks_total", "gauge", "KV blocks of each pool.");
  page.sample("turboquant:kv_blocks_total", read(s.hot_blocks_total), hot);
  page.sample("turboquant:kv_blocks_total", read(s.sealed_blocks_total), sealed);
  page.family("turboquant:kv_bytes_used", "gauge", "Bytes of KV blocks that sequences use.");
  page.sample("turboquant:kv_bytes_used",
              read(s.hot_blocks_used) * kv.block_tokens * kv.hot_bytes_per_token, hot);
  page.sample("turboquant:kv_bytes_used",
              read(s.sealed_blocks_used) * kv.block_tokens * kv.sealed_bytes_per_token, sealed);
  page.one("turboquant:kv_blocks_swapped_out_total", "counter",
           "KV blocks of preempted sequences copied to the host.", read(s.blocks_swapped_out));
  page.one("turboquant:kv_blocks_swapped_in_total", "counter",
           "KV blocks copied back from the host.", read(s.blocks_swapped_in));
}

void add_http(Page& page, const engine::EngineStats& s, const HttpCounters& http) {
  page.one("turboquant:steps_total", "counter", "Engine steps.", read(s.steps));
  page.one("turboquant:engine_healthy", "gauge", "1 while the engine can run steps.",
           s.healthy.load(std::memory_order_relaxed) ? 1.0 : 0.0);
  page.one("turboquant:http_connections", "gauge", "Open connections.", read(http.connections));
  page.one("turboquant:http_requests_active", "gauge", "Requests being answered.",
           read(http.requests_active));
  page.one("turboquant:http_connections_refused_total", "counter",
           "Connections over the limit, answered with 503.", read(http.connections_refused));
  page.one("turboquant:http_disconnects_total", "counter",
           "Clients that left before their answer was complete.", read(http.disconnects));
  page.family("turboquant:http_answers_total", "counter", "Answers, by class of status.");
  page.sample("turboquant:http_answers_total", read(http.answers_2xx), "class=\"2xx\"");
  page.sample("turboquant:http_answers_total", read(http.answers_4xx), "class=\"4xx\"");
  page.sample("turboquant:http_answers_total", read(http.answers_5xx), "class=\"5xx\"");
}

}  // namespace

KvFacts kv_facts(const quant::BlockLayout& layout) {
  return {.format = to_string(layout.formats()),
          .block_tokens = layout.block_tokens(),
          .hot_bytes_per_token = layout.hot_bytes_per_token(),
          .sealed_bytes_per_token = layout.sealed_bytes_per_token()};
}

std::string render_metrics(const MetricsInput& input) {
  Page page(input.model_name);
  add_vllm_gauges(page, input.stats, input.kv);
  add_vllm_counters(page, input.stats);
  add_vllm_histograms(page, input.stats);
  add_kv(page, input.stats, input.kv);
  add_http(page, input.stats, input.http);
  return page.take();
}

}  // namespace tq::server
