// /v1/completions, /tokenize, /detokenize and /apply-template: prompts as text or token ids.

#include <utility>

#include "config/limits.h"
#include "server/openai_request.h"

namespace tq::server {
namespace {

// More ids than any context holds are refused by count, before each is looked at.
size_t ids_max(const ApiContext& context) { return static_cast<size_t>(context.context_max) + 1; }

Result<PromptInput> parse_prompt_ids(const Json& value,
                                     const std::string& path,
                                     const ApiContext& context) {
  if (value.size() > ids_max(context)) {
    return Error{Code::kContextLength,
                 "the prompt has " + std::to_string(value.size()) +
                     " tokens; this model's context is " + std::to_string(context.context_max),
                 path};
  }
  TQ_ASSIGN(std::vector<TokenId> ids,
            parse_token_ids(value, path, context.vocab_size, ids_max(context)));
  return PromptInput(std::move(ids));
}

// A string, an array of ids, or an array of either.
Result<std::vector<PromptInput>> parse_prompts(Fields& fields, const ApiContext& context) {
  const Json* value = fields.find("prompt");
  if (value == nullptr) return fields.wrong("prompt", "is missing");
  std::vector<PromptInput> prompts;
  if (value->is_string()) {
    prompts.emplace_back(value->get<std::string>());
    return prompts;
  }
  if (!value->is_array() || value->empty()) {
    return fields.wrong("prompt",
                        "must be a string, an array of strings, of token ids, or of "
                        "arrays of token ids, and not empty");
  }
  if (value->front().is_number()) {
    TQ_ASSIGN(PromptInput prompt, parse_prompt_ids(*value, fields.path("prompt"), context));
    prompts.push_back(std::move(prompt));
    return prompts;
  }
  if (value->size() > static_cast<size_t>(limits::kPromptsMax)) {
    return fields.wrong("prompt", "has " + std::to_string(value->size()) + " prompts; at most " +
                                      std::to_string(limits::kPromptsMax) + " are allowed");
  }
  for (size_t i = 0; i < value->size(); ++i) {
    const Json& entry = (*value)[i];
    const std::string where = "prompt." + std::to_string(i);
    if (entry.is_string()) {
      prompts.emplace_back(entry.get<std::string>());
    } else if (entry.is_array()) {
      TQ_ASSIGN(PromptInput prompt, parse_prompt_ids(entry, fields.path(where), context));
      prompts.push_back(std::move(prompt));
    } else {
      return fields.wrong(where, "must be a string or an array of token ids");
    }
  }
  return prompts;
}

// logprobs: a number of alternatives; 0 asks for the chosen tokens' only.
Result<void> parse_logprobs(Fields& fields, GenerationRequest& request) {
  TQ_ASSIGN(const auto count, fields.integer("logprobs", {0, limits::kTopLogprobsMax}));
  if (!count) return {};
  if (request.echo) {
    return fields.unsupported("logprobs", "with 'echo' (of the prompt's tokens) is not supported");
  }
  request.sampling.logprobs = true;
  request.sampling.top_logprobs = static_cast<int>(*count);
  return {};
}

}  // namespace

Result<GenerationRequest> parse_completion_request(std::string_view body,
                                                   const ApiContext& context) {
  TQ_ASSIGN(const Json json, parse_json(body));
  TQ_ASSIGN(Fields fields, Fields::open(json, ""));
  GenerationRequest request;
  request.kind = ApiKind::kCompletion;
  TQ_TRY(parse_common(fields, context, request));
  TQ_ASSIGN(request.prompts, parse_prompts(fields, context));
  TQ_ASSIGN(const auto echo, fields.boolean("echo"));
  request.echo = echo.value_or(false);
  TQ_TRY(parse_logprobs(fields, request));
  TQ_ASSIGN(const auto suffix, fields.text("suffix", SIZE_MAX));
  if (suffix && !suffix->empty()) return fields.unsupported("suffix", "is not supported");
  TQ_TRY(fields.expect_no_more());
  const auto n_choices = request.prompts.size() * static_cast<size_t>(request.n);
  if (n_choices > static_cast<size_t>(context.choices_max)) {
    return fields.wrong("prompt", "times 'n' gives " + std::to_string(n_choices) +
                                      " choices; at most " + std::to_string(context.choices_max) +
                                      " are allowed");
  }
  return request;
}

Result<TokenizeRequest> parse_tokenize_request(std::string_view body, const ApiContext& context) {
  TQ_ASSIGN(const Json json, parse_json(body));
  TQ_ASSIGN(Fields fields, Fields::open(json, ""));
  TQ_TRY(parse_model(fields, context));
  TokenizeRequest request;
  request.is_chat = fields.find("messages") != nullptr;
  TQ_ASSIGN(const auto prompt, fields.text("prompt", SIZE_MAX));
  if (request.is_chat) {
    if (prompt) return fields.wrong("prompt", "contradicts 'messages'; give one of them");
    TQ_ASSIGN(request.template_variables, parse_template_variables(fields, context));
  } else {
    if (!prompt) return fields.wrong("prompt", "is missing");
    request.prompt = *prompt;
  }
  TQ_ASSIGN(const auto special, fields.boolean("add_special_tokens"));
  request.add_special_tokens = special.value_or(!request.is_chat);  // a template writes its own
  TQ_ASSIGN(const auto strings, fields.boolean("return_token_strs"));
  request.return_token_strs = strings.value_or(false);
  TQ_TRY(fields.expect_no_more());
  return request;
}

Result<std::vector<TokenId>> parse_detokenize_request(std::string_view body,
                                                      const ApiContext& context) {
  TQ_ASSIGN(const Json json, parse_json(body));
  TQ_ASSIGN(Fields fields, Fields::open(json, ""));
  TQ_TRY(parse_model(fields, context));
  const Json* tokens = fields.find("tokens");
  if (tokens == nullptr) return fields.wrong("tokens", "is missing");
  TQ_TRY(fields.expect_no_more());
  return parse_token_ids(*tokens, "tokens", context.vocab_size, SIZE_MAX);
}

Result<Json> parse_template_request(std::string_view body, const ApiContext& context) {
  TQ_ASSIGN(const Json json, parse_json(body));
  TQ_ASSIGN(Fields fields, Fields::open(json, ""));
  TQ_TRY(parse_model(fields, context));
  TQ_ASSIGN(Json variables, parse_template_variables(fields, context));
  TQ_TRY(fields.expect_no_more());
  return variables;
}

}  // namespace tq::server
