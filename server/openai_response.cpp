#include "server/openai_response.h"

#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <random>
#include <utility>

#include "config/version.h"

namespace tq::server {
namespace {

std::string random_hex() {
  thread_local std::mt19937_64 generator{std::random_device{}()};
  std::array<char, 33> text{};
  std::snprintf(text.data(), text.size(), "%016llx%016llx",
                static_cast<unsigned long long>(generator()),
                static_cast<unsigned long long>(generator()));
  return std::string(text.data(), 24);
}

std::string json_string(std::string_view text) { return dump(Json(text)); }

// JSON has no infinity; a token that was impossible gets the value that OpenAI shows.
double shown(float logprob) { return std::isfinite(logprob) ? logprob : -9999.0; }

Json bytes_json(const std::string& bytes) {
  Json out = Json::array();
  for (const char c : bytes) out.push_back(static_cast<unsigned char>(c));
  return out;
}

Json chat_token(const std::string& bytes, float logprob) {
  return Json{{"token", bytes}, {"logprob", shown(logprob)}, {"bytes", bytes_json(bytes)}};
}

Json chat_logprobs(const std::vector<engine::TokenLogprob>& logprobs) {
  Json content = Json::array();
  for (const auto& entry : logprobs) {
    Json token = chat_token(entry.bytes, entry.logprob);
    token["top_logprobs"] = Json::array();
    for (const auto& top : entry.top) {
      token["top_logprobs"].push_back(chat_token(top.bytes, top.logprob));
    }
    content.push_back(std::move(token));
  }
  return Json{{"content", std::move(content)}, {"refusal", nullptr}};
}

int64_t code_points(const std::string& bytes) {
  int64_t n = 0;
  for (const char c : bytes) n += (static_cast<unsigned char>(c) & 0xc0u) != 0x80u ? 1 : 0;
  return n;
}

Json completion_logprobs(const std::vector<engine::TokenLogprob>& logprobs, int64_t& offset) {
  Json out = {{"tokens", Json::array()},
              {"token_logprobs", Json::array()},
              {"top_logprobs", Json::array()},
              {"text_offset", Json::array()}};
  for (const auto& entry : logprobs) {
    out["tokens"].push_back(entry.bytes);
    out["token_logprobs"].push_back(shown(entry.logprob));
    Json top = Json::object();
    for (const auto& candidate : entry.top) top[candidate.bytes] = shown(candidate.logprob);
    out["top_logprobs"].push_back(std::move(top));
    out["text_offset"].push_back(offset);
    offset += code_points(entry.bytes);
  }
  return out;
}

std::string fingerprint() { return "tq-" + std::string(version()); }

}  // namespace

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

AnswerIdentity make_identity(ApiKind kind, const std::string& model) {
  AnswerIdentity identity;
  identity.kind = kind;
  identity.id = (kind == ApiKind::kChat ? "chatcmpl-" : "cmpl-") + random_hex();
  identity.created = std::chrono::duration_cast<std::chrono::seconds>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count();
  identity.model = model;
  return identity;
}

std::string_view finish_text(engine::FinishReason reason) noexcept {
  return reason == engine::FinishReason::kLength ? "length" : "stop";
}

std::string LogprobsWriter::write(const std::vector<engine::TokenLogprob>& logprobs) {
  if (logprobs.empty()) return "null";
  if (kind_ == ApiKind::kChat) return dump(chat_logprobs(logprobs));
  return dump(completion_logprobs(logprobs, text_offset_));
}

ChunkWriter::ChunkWriter(const AnswerIdentity& identity, bool include_usage, int n_choices)
    : kind_(identity.kind),
      logprobs_(static_cast<size_t>(n_choices), LogprobsWriter(identity.kind)) {
  Json head = {{"id", identity.id}};
  head["object"] = kind_ == ApiKind::kChat ? "chat.completion.chunk" : "text_completion";
  head["created"] = identity.created;
  head["model"] = identity.model;
  head["system_fingerprint"] = fingerprint();
  head_ = dump(head);
  head_.pop_back();  // the object stays open
  tail_ = include_usage ? ",\"usage\":null}" : "}";
}

std::string ChunkWriter::chunk(int choice,
                               std::string_view delta,
                               std::string_view logprobs,
                               std::string_view finish_reason) const {
  std::string out = head_;
  out.append(",\"choices\":[{\"index\":").append(std::to_string(choice)).append(",");
  out.append(delta).append(",\"logprobs\":").append(logprobs);
  out.append(",\"finish_reason\":").append(finish_reason).append("}]").append(tail_);
  return out;
}

std::string ChunkWriter::role(int choice) const {
  return chunk(choice, R"("delta":{"role":"assistant","content":""})", "null", "null");
}

std::string ChunkWriter::text(int choice, std::string_view text) const {
  return chunk(choice, "\"text\":" + json_string(text), "null", "null");
}

std::string ChunkWriter::delta(int choice, const engine::TokenDelta& delta) {
  const std::string body = kind_ == ApiKind::kChat
                               ? "\"delta\":{\"content\":" + json_string(delta.text) + "}"
                               : "\"text\":" + json_string(delta.text);
  return chunk(choice, body, logprobs_[static_cast<size_t>(choice)].write(delta.logprobs), "null");
}

std::string ChunkWriter::finish(int choice, engine::FinishReason reason) const {
  const std::string_view body = kind_ == ApiKind::kChat ? "\"delta\":{}" : "\"text\":\"\"";
  return chunk(choice, body, "null", json_string(finish_text(reason)));
}

std::string ChunkWriter::usage(const engine::Usage& usage) const {
  return head_ + ",\"choices\":[],\"usage\":" + dump(usage_json(usage)) + "}";
}

Json usage_json(const engine::Usage& usage) {
  return Json{{"prompt_tokens", usage.prompt_tokens},
              {"completion_tokens", usage.completion_tokens},
              {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
              {"prompt_tokens_details", Json{{"cached_tokens", usage.cached_tokens}}}};
}

std::string whole_answer(const AnswerIdentity& identity,
                         const std::vector<ChoiceOutput>& choices,
                         const engine::Usage& usage,
                         bool with_logprobs) {
  const bool chat = identity.kind == ApiKind::kChat;
  Json list = Json::array();
  for (size_t i = 0; i < choices.size(); ++i) {
    const ChoiceOutput& output = choices[i];
    Json choice = {{"index", i}};
    if (chat) {
      choice["message"] =
          Json{{"role", "assistant"}, {"content", output.text}, {"refusal", nullptr}};
    } else {
      choice["text"] = output.text;
    }
    int64_t offset = 0;
    choice["logprobs"] = nullptr;
    if (with_logprobs) {
      choice["logprobs"] =
          chat ? chat_logprobs(output.logprobs) : completion_logprobs(output.logprobs, offset);
    }
    choice["finish_reason"] = finish_text(output.reason);
    list.push_back(std::move(choice));
  }
  Json out = {{"id", identity.id}};
  out["object"] = chat ? "chat.completion" : "text_completion";
  out["created"] = identity.created;
  out["model"] = identity.model;
  out["system_fingerprint"] = fingerprint();
  out["choices"] = std::move(list);
  out["usage"] = usage_json(usage);
  return dump(out);
}

}  // namespace tq::server
