// Fields that /v1/chat/completions and /v1/completions share.

#include <array>
#include <charconv>
#include <utility>

#include "config/limits.h"
#include "server/openai_request.h"

namespace tq::server {
namespace {

constexpr size_t kNameBytesMax = 1024;
constexpr int64_t kTokensMax = INT32_MAX;

struct Unsupported {
  std::string_view name;
  std::string_view why;
};
// Known to OpenAI or to the peers, but not built: an error that names it, never silence.
constexpr std::array kUnsupported{
    Unsupported{"functions", "is not supported"},
    Unsupported{"function_call", "is not supported"},
    Unsupported{"audio", "is not supported: the model speaks text only"},
    Unsupported{"prediction", "is not supported"},
    Unsupported{"web_search_options", "is not supported"},
    Unsupported{"verbosity", "is not supported"},
    Unsupported{"guided_json", "is not supported"},
    Unsupported{"guided_regex", "is not supported"},
    Unsupported{"guided_choice", "is not supported"},
    Unsupported{"guided_grammar", "is not supported"},
    Unsupported{"structured_outputs", "is not supported"},
    Unsupported{"grammar", "is not supported"},
    Unsupported{"use_beam_search", "is not supported"},
    Unsupported{"length_penalty", "is not supported"},
    Unsupported{"prompt_logprobs", "is not supported"},
    Unsupported{"truncate_prompt_tokens",
                "is not supported: a prompt that is too long is an error"},
    Unsupported{"skip_special_tokens", "is not supported: control tokens are never shown"},
    Unsupported{"chat_template", "is not supported: the model's own template is used"},
    Unsupported{"documents", "is not supported"},
    Unsupported{"continue_final_message", "is not supported"},
    Unsupported{"logits_processors", "is not supported"},
};

constexpr std::array<std::string_view, 7> kHarmless{"user",
                                                    "metadata",
                                                    "store",
                                                    "service_tier",
                                                    "safety_identifier",
                                                    "prompt_cache_key",
                                                    "prompt_cache_retention"};

Result<void> parse_response_format(Fields& fields) {
  const Json* format = fields.find("response_format");
  if (format == nullptr) return {};
  TQ_ASSIGN(Fields inner, Fields::open(*format, fields.path("response_format")));
  TQ_ASSIGN(const auto type, inner.text("type", kNameBytesMax));
  if (type == "text") return inner.expect_no_more();
  if (type == "json_object" || type == "json_schema" || type == "structural_tag") {
    return fields.unsupported("response_format", "of type '" + *type + "' is not supported");
  }
  return inner.wrong("type", "must be text, json_object or json_schema");
}

Result<void> parse_tools(Fields& fields) {
  if (const Json* tools = fields.find("tools")) {
    if (!tools->is_array()) return fields.wrong("tools", "must be an array");
    if (!tools->empty()) return fields.unsupported("tools", "is not supported");
  }
  if (const Json* choice = fields.find("tool_choice")) {
    const bool none = choice->is_string() && (*choice == "none" || *choice == "auto");
    if (!none) return fields.unsupported("tool_choice", "is not supported");
  }
  TQ_TRY(fields.boolean("parallel_tool_calls"));
  return {};
}

Result<void> parse_modalities(Fields& fields) {
  const Json* value = fields.find("modalities");
  if (value == nullptr || *value == Json::array({"text"})) return {};
  if (!value->is_array()) return fields.wrong("modalities", "must be an array");
  return fields.unsupported("modalities", "other than [\"text\"] is not supported");
}

template <class Field, class Value>
void set_if(Field& field, const std::optional<Value>& value) {
  if (value) field = static_cast<Field>(*value);
}

Result<void> parse_logit_bias(Fields& fields, int vocab_size, engine::SamplingParams& sampling) {
  const Json* bias = fields.find("logit_bias");
  if (bias == nullptr) return {};
  TQ_ASSIGN(Fields entries, Fields::open(*bias, fields.path("logit_bias")));
  if (bias->size() > static_cast<size_t>(limits::kLogitBiasMax)) {
    return fields.wrong("logit_bias", "has " + std::to_string(bias->size()) + " entries; at most " +
                                          std::to_string(limits::kLogitBiasMax) + " are allowed");
  }
  for (const auto& [key, value] : bias->items()) {
    TokenId token = -1;
    const auto [end, ec] = std::from_chars(key.data(), key.data() + key.size(), token);
    if (ec != std::errc() || end != key.data() + key.size() || token < 0 || token >= vocab_size) {
      return entries.wrong(key, "names no token; ids are 0 to " + std::to_string(vocab_size - 1));
    }
    TQ_ASSIGN(const auto amount, entries.number(key, {-100.0, 100.0}));
    if (!amount) return entries.wrong(key, "must be a number, -100 to 100");
    sampling.logit_bias.emplace_back(token, static_cast<float>(*amount));
  }
  return {};
}

Result<void> parse_sampling(Fields& fields, int vocab_size, engine::SamplingParams& sampling) {
  TQ_ASSIGN(const auto temperature, fields.number("temperature", {0.0, 2.0}));
  set_if(sampling.temperature, temperature);
  TQ_ASSIGN(const auto top_p, fields.number("top_p", {0.0, 1.0, true}));
  set_if(sampling.top_p, top_p);
  TQ_ASSIGN(const auto top_k, fields.integer("top_k", {-1, limits::kVocabMax}));
  if (top_k) sampling.top_k = static_cast<int>(*top_k < 0 ? 0 : *top_k);  // -1: off, as in vLLM
  TQ_ASSIGN(const auto min_p, fields.number("min_p", {0.0, 1.0}));
  set_if(sampling.min_p, min_p);
  TQ_ASSIGN(const auto typical_p, fields.number("typical_p", {0.0, 1.0, true}));
  set_if(sampling.typical_p, typical_p);
  TQ_ASSIGN(const auto repetition, fields.number("repetition_penalty", {0.0, 10.0, true}));
  set_if(sampling.repetition_penalty, repetition);
  TQ_ASSIGN(const auto presence, fields.number("presence_penalty", {-2.0, 2.0}));
  set_if(sampling.presence_penalty, presence);
  TQ_ASSIGN(const auto frequency, fields.number("frequency_penalty", {-2.0, 2.0}));
  set_if(sampling.frequency_penalty, frequency);
  TQ_ASSIGN(const auto seed, fields.integer("seed", {INT64_MIN, INT64_MAX}));
  if (seed) sampling.seed = static_cast<uint64_t>(*seed);
  return parse_logit_bias(fields, vocab_size, sampling);
}

Result<void> parse_stop_strings(Fields& fields, std::vector<std::string>& out) {
  const Json* value = fields.find("stop");
  if (value == nullptr) return {};
  const Json list = value->is_string() ? Json::array({*value}) : *value;
  if (!list.is_array()) return fields.wrong("stop", "must be a string or an array of strings");
  if (list.size() > static_cast<size_t>(limits::kStopStringsMax)) {
    return fields.wrong("stop", "has " + std::to_string(list.size()) + " strings; at most " +
                                    std::to_string(limits::kStopStringsMax) + " are allowed");
  }
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string where = value->is_string() ? "stop" : "stop." + std::to_string(i);
    if (!list[i].is_string()) return fields.wrong(where, "must be a string");
    auto text = list[i].get<std::string>();
    if (text.empty() || text.size() > limits::kStopStringBytesMax) {
      return fields.wrong(
          where, "must have 1 to " + std::to_string(limits::kStopStringBytesMax) + " bytes");
    }
    out.push_back(std::move(text));
  }
  return {};
}

Result<void> parse_stop(Fields& fields, int vocab_size, engine::StopRules& stop) {
  TQ_TRY(parse_stop_strings(fields, stop.strings));
  if (const Json* ids = fields.find("stop_token_ids")) {
    TQ_ASSIGN(stop.token_ids, parse_token_ids(*ids, fields.path("stop_token_ids"), vocab_size,
                                              static_cast<size_t>(limits::kStopTokensMax)));
  }
  TQ_ASSIGN(const auto ignore_eos, fields.boolean("ignore_eos"));
  set_if(stop.ignore_eos, ignore_eos);
  TQ_ASSIGN(const auto include, fields.boolean("include_stop_str_in_output"));
  set_if(stop.include_stop_string, include);
  TQ_ASSIGN(const auto max_tokens, fields.integer("max_tokens", {1, kTokensMax}));
  TQ_ASSIGN(const auto max_completion, fields.integer("max_completion_tokens", {1, kTokensMax}));
  if (max_tokens && max_completion && *max_tokens != *max_completion) {
    return fields.wrong("max_completion_tokens", "contradicts 'max_tokens'; give one of them");
  }
  set_if(stop.max_tokens, max_tokens);
  set_if(stop.max_tokens, max_completion);
  TQ_ASSIGN(const auto min_tokens, fields.integer("min_tokens", {0, kTokensMax}));
  set_if(stop.min_tokens, min_tokens);
  if (stop.max_tokens > 0 && stop.min_tokens > stop.max_tokens) {
    return fields.wrong("min_tokens", "is more than 'max_tokens'");
  }
  return {};
}

Result<void> parse_stream(Fields& fields, GenerationRequest& request) {
  TQ_ASSIGN(const auto stream, fields.boolean("stream"));
  set_if(request.stream, stream);
  const Json* options = fields.find("stream_options");
  if (options == nullptr) return {};
  if (!request.stream) return fields.wrong("stream_options", "needs 'stream': true");
  TQ_ASSIGN(Fields inner, Fields::open(*options, fields.path("stream_options")));
  TQ_ASSIGN(const auto usage, inner.boolean("include_usage"));
  set_if(request.include_usage, usage);
  TQ_ASSIGN(const auto continuous, inner.boolean("continuous_usage_stats"));
  if (continuous.value_or(false)) {
    return inner.unsupported("continuous_usage_stats", "is not supported");
  }
  TQ_TRY(inner.boolean("include_obfuscation"));  // padding against eavesdroppers: a hint
  return inner.expect_no_more();
}

}  // namespace

Result<std::vector<TokenId>> parse_token_ids(const Json& array,
                                             const std::string& path,
                                             int vocab_size,
                                             size_t count_max) {
  const auto wrong = [&](const std::string& where, std::string message) {
    return Error{Code::kInvalidArgument, "'" + where + "' " + std::move(message), where};
  };
  if (!array.is_array()) return wrong(path, "must be an array of token ids");
  if (array.size() > count_max) {
    return wrong(path, "has " + std::to_string(array.size()) + " token ids; at most " +
                           std::to_string(count_max) + " are allowed");
  }
  std::vector<TokenId> out;
  out.reserve(array.size());
  for (size_t i = 0; i < array.size(); ++i) {
    const Json& entry = array[i];
    const bool fits = entry.is_number_integer() && entry >= 0 && entry < vocab_size;
    if (!fits) {
      return wrong(path + "." + std::to_string(i),
                   "must be a token id, 0 to " + std::to_string(vocab_size - 1));
    }
    out.push_back(entry.get<TokenId>());
  }
  return out;
}

Result<void> parse_model(Fields& fields, const ApiContext& context) {
  TQ_ASSIGN(const auto model, fields.text("model", kNameBytesMax));
  if (!model || *model == context.model_name) return {};
  return Error{
      Code::kNotFound,
      "the model '" + *model + "' does not exist; this server has '" + context.model_name + "'",
      "model"};
}

Result<void> refuse_unsupported(Fields& fields) {
  for (const Unsupported& entry : kUnsupported) {
    const Json* value = fields.find(entry.name);
    if (value == nullptr) continue;
    const bool is_default = entry.name == "skip_special_tokens" ? *value == true : *value == false;
    if (!is_default) return fields.unsupported(entry.name, std::string(entry.why));
  }
  for (const std::string_view name : kHarmless) fields.ignore(name);
  return {};
}

Result<void> parse_common(Fields& fields, const ApiContext& context, GenerationRequest& request) {
  TQ_TRY(parse_model(fields, context));
  TQ_ASSIGN(const auto n, fields.integer("n", {1, limits::kChoicesMax}));
  set_if(request.n, n);
  TQ_ASSIGN(const auto best_of, fields.integer("best_of", {1, limits::kChoicesMax}));
  if (best_of && *best_of < request.n) return fields.wrong("best_of", "is less than 'n'");
  if (best_of && *best_of > request.n) {
    return fields.unsupported("best_of", "above 'n' is not supported");
  }
  TQ_ASSIGN(const auto priority, fields.integer("priority", {-1'000'000, 1'000'000}));
  set_if(request.priority, priority);
  TQ_TRY(parse_stream(fields, request));
  TQ_TRY(parse_sampling(fields, context.vocab_size, request.sampling));
  TQ_TRY(parse_stop(fields, context.vocab_size, request.stop));
  TQ_TRY(parse_response_format(fields));
  TQ_TRY(parse_tools(fields));
  TQ_TRY(parse_modalities(fields));
  return refuse_unsupported(fields);
}

}  // namespace tq::server
