#pragma once
// What the engine produced -> JSON of the API: whole answers and stream chunks. Pure; one object
// per request, on its connection's strand.

#include <cstdint>
#include <string>
#include <vector>

#include "engine/event_sink.h"
#include "server/openai_request.h"

namespace tq::server {

// Constant over all chunks of one answer.
struct AnswerIdentity {
  ApiKind kind = ApiKind::kChat;
  std::string id;  // "chatcmpl-..." or "cmpl-..."
  int64_t created = 0;
  std::string model;
};

AnswerIdentity make_identity(ApiKind kind, const std::string& model);

// "stop" or "length"; the other reasons are errors and never reach a choice.
std::string_view finish_text(engine::FinishReason reason) noexcept;

// Logprobs in the style of the endpoint; text_offset counts code points from the start of the text.
class LogprobsWriter {
 public:
  explicit LogprobsWriter(ApiKind kind) : kind_(kind) {}
  // JSON text, or "null" where there are none.
  std::string write(const std::vector<engine::TokenLogprob>& logprobs);

 private:
  ApiKind kind_;
  int64_t text_offset_ = 0;
};

// The chunks of one stream, as JSON texts.
class ChunkWriter {
 public:
  ChunkWriter(const AnswerIdentity& identity, bool include_usage, int n_choices);

  std::string role(int choice) const;                         // kChat: first chunk of a choice
  std::string text(int choice, std::string_view text) const;  // without logprobs: an echoed prompt
  std::string delta(int choice, const engine::TokenDelta& delta);
  std::string finish(int choice, engine::FinishReason reason) const;
  std::string usage(const engine::Usage& usage) const;  // choices: []

 private:
  std::string chunk(int choice,
                    std::string_view delta,
                    std::string_view logprobs,
                    std::string_view finish_reason) const;

  ApiKind kind_;
  std::string head_;  // {"id":...,"model":"..."
  std::string tail_;  // "usage":null where usage was asked for
  std::vector<LogprobsWriter> logprobs_;
};

struct ChoiceOutput {
  std::string text;
  std::vector<engine::TokenLogprob> logprobs;
  engine::FinishReason reason = engine::FinishReason::kStop;
};

std::string whole_answer(const AnswerIdentity& identity,
                         const std::vector<ChoiceOutput>& choices,
                         const engine::Usage& usage,
                         bool with_logprobs);

Json usage_json(const engine::Usage& usage);
std::string dump(const Json& json);  // invalid UTF-8 becomes U+FFFD, never an exception

}  // namespace tq::server
