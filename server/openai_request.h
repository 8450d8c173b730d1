#pragma once
// Request bodies of the API -> typed, validated values. JSON ends here, but for the variables of a
// chat template, which are JSON by their nature. Every field is read, refused by name, or on the
// short list of harmless ones. Pure; any thread.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/ids.h"
#include "config/result.h"
#include "engine/job.h"
#include "server/json_fields.h"

namespace tq::server {

enum class ApiKind { kChat, kCompletion };

// What validation needs to know of the model and the engine.
struct ApiContext {
  std::string model_name;
  int64_t context_max = 0;
  int vocab_size = 0;
  int choices_max = 1;  // prompts x n of one request: what the queue could hold
  bool has_chat_template = false;
  bool template_reads_effort = false;  // the template names reasoning_effort
};

using PromptInput = std::variant<std::string, std::vector<TokenId>>;

struct GenerationRequest {
  ApiKind kind = ApiKind::kChat;
  std::vector<PromptInput> prompts;  // kCompletion; at least one
  Json template_variables;           // kChat: messages, add_generation_prompt, chat_template_kwargs
  engine::SamplingParams sampling;
  engine::StopRules stop;  // max_tokens 0: as many as fit the context
  int n = 1;               // choices per prompt
  int priority = 0;
  bool echo = false;
  bool stream = false;
  bool include_usage = false;
};

Result<GenerationRequest> parse_chat_request(std::string_view body, const ApiContext& context);
Result<GenerationRequest> parse_completion_request(std::string_view body,
                                                   const ApiContext& context);

struct TokenizeRequest {
  PromptInput prompt;       // text, where no messages are given
  Json template_variables;  // else an object with messages
  bool is_chat = false;
  bool add_special_tokens = true;
  bool return_token_strs = false;
};

Result<TokenizeRequest> parse_tokenize_request(std::string_view body, const ApiContext& context);
Result<std::vector<TokenId>> parse_detokenize_request(std::string_view body,
                                                      const ApiContext& context);
Result<Json> parse_template_request(std::string_view body, const ApiContext& context);

// The parts, shared between the endpoints.
Result<void> parse_model(Fields& fields, const ApiContext& context);
Result<void> parse_common(Fields& fields, const ApiContext& context, GenerationRequest& request);
Result<void> refuse_unsupported(Fields& fields);
Result<Json> parse_template_variables(Fields& fields, const ApiContext& context);
Result<Json> parse_messages(const Json& messages, const std::string& path);
Result<std::vector<TokenId>> parse_token_ids(const Json& array,
                                             const std::string& path,
                                             int vocab_size,
                                             size_t count_max);

}  // namespace tq::server
