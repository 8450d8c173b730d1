// /v1/chat/completions: messages and template variables.

#include <algorithm>
#include <array>
#include <utility>

#include "config/limits.h"
#include "server/openai_request.h"

namespace tq::server {
namespace {

constexpr size_t kTextBytesMax = 1ull << 30;  // the body's own limit is the one that counts
constexpr size_t kNameBytesMax = 256;

// Ids of the calls that a tool message may answer: those of the last assistant message.
using OpenCalls = std::vector<std::string>;

Result<std::string> parse_parts(const Json& parts, const std::string& path) {
  std::string text;
  for (size_t i = 0; i < parts.size(); ++i) {
    TQ_ASSIGN(Fields part, Fields::open(parts[i], path + "." + std::to_string(i)));
    TQ_ASSIGN(const auto type, part.text("type", kNameBytesMax));
    if (!type) return part.wrong("type", "is missing");
    if (*type != "text") {
      for (const char* known : {"image_url", "input_audio", "file", "video_url", "refusal"}) {
        if (*type == known) return part.unsupported("type", "'" + *type + "' is not supported");
      }
      return part.wrong("type", "'" + *type + "' is unknown; it must be text");
    }
    TQ_ASSIGN(const auto piece, part.text("text", kTextBytesMax));
    if (!piece) return part.wrong("text", "is missing");
    TQ_TRY(part.expect_no_more());
    if (i > 0) text += '\n';
    text += *piece;
  }
  return text;
}

// A string, or an array of text parts, joined by newlines.
Result<std::optional<std::string>> parse_content(Fields& message) {
  const Json* content = message.find("content");
  if (content == nullptr) return std::optional<std::string>();
  if (content->is_string()) return std::optional<std::string>(content->get<std::string>());
  if (!content->is_array()) {
    return message.wrong("content", "must be a string or an array of parts");
  }
  if (content->empty()) return message.wrong("content", "must have at least one part");
  if (content->size() > static_cast<size_t>(limits::kMessagesMax)) {
    return message.wrong("content", "has too many parts; at most " +
                                        std::to_string(limits::kMessagesMax) + " are allowed");
  }
  TQ_ASSIGN(std::string text, parse_parts(*content, message.path("content")));
  return std::optional<std::string>(std::move(text));
}

// Arguments travel as a string of JSON; templates want the object.
Result<Json> parse_call(const Json& value, const std::string& path, OpenCalls& open) {
  TQ_ASSIGN(Fields call, Fields::open(value, path));
  TQ_ASSIGN(const auto id, call.text("id", kNameBytesMax));
  if (!id || id->empty()) return call.wrong("id", "is missing");
  TQ_ASSIGN(const auto type, call.text("type", kNameBytesMax));
  if (type && *type != "function") return call.wrong("type", "must be function");
  call.ignore("index");
  const Json* function = call.find("function");
  if (function == nullptr) return call.wrong("function", "is missing");
  TQ_TRY(call.expect_no_more());
  TQ_ASSIGN(Fields inner, Fields::open(*function, call.path("function")));
  TQ_ASSIGN(const auto name, inner.text("name", kNameBytesMax));
  if (!name || name->empty()) return inner.wrong("name", "is missing");
  TQ_ASSIGN(const auto arguments, inner.text("arguments", kTextBytesMax));
  TQ_TRY(inner.expect_no_more());
  Json parsed = Json::object();
  if (arguments && !arguments->empty()) {
    auto json = parse_json(*arguments);
    if (!json || !json->is_object()) return inner.wrong("arguments", "must be a JSON object");
    parsed = std::move(*json);
  }
  open.push_back(*id);
  return Json{{"id", *id},
              {"type", "function"},
              {"function", Json{{"name", *name}, {"arguments", std::move(parsed)}}}};
}

Result<void> parse_calls(Fields& message, Json& out, OpenCalls& open) {
  open.clear();
  const Json* calls = message.find("tool_calls");
  if (calls == nullptr) return {};
  if (!calls->is_array()) return message.wrong("tool_calls", "must be an array");
  if (calls->size() > static_cast<size_t>(limits::kMessagesMax)) {
    return message.wrong("tool_calls", "has too many calls");
  }
  Json list = Json::array();
  for (size_t i = 0; i < calls->size(); ++i) {
    const std::string path = message.path("tool_calls") + "." + std::to_string(i);
    TQ_ASSIGN(Json call, parse_call((*calls)[i], path, open));
    list.push_back(std::move(call));
  }
  if (!list.empty()) out["tool_calls"] = std::move(list);
  return {};
}

Result<void> parse_tool_reply(Fields& message, Json& out, const OpenCalls& open) {
  TQ_ASSIGN(const auto id, message.text("tool_call_id", kNameBytesMax));
  if (!id) return message.wrong("tool_call_id", "is missing");
  if (std::find(open.begin(), open.end(), *id) == open.end()) {
    return message.wrong("tool_call_id", "answers no call of the assistant message before it");
  }
  out["tool_call_id"] = *id;
  return {};
}

Result<std::string> parse_role(Fields& message) {
  TQ_ASSIGN(const auto role, message.text("role", kNameBytesMax));
  if (!role) return message.wrong("role", "is missing");
  if (*role == "developer")
    return std::string("system");  // its later name; templates know this one
  for (const char* known : {"system", "user", "assistant", "tool"}) {
    if (*role == known) return *role;
  }
  if (*role == "function") return message.unsupported("role", "'function' is not supported");
  return message.wrong("role", "'" + *role +
                                   "' is unknown; one of system, developer, user, "
                                   "assistant, tool");
}

Result<Json> parse_message(const Json& value, const std::string& path, OpenCalls& open) {
  TQ_ASSIGN(Fields message, Fields::open(value, path));
  TQ_ASSIGN(const std::string role, parse_role(message));
  Json out = {{"role", role}};
  TQ_ASSIGN(const auto content, parse_content(message));
  if (role == "assistant") {
    TQ_TRY(parse_calls(message, out, open));
    // What clients send back of an answer, all null.
    for (const char* name : {"refusal", "audio", "function_call", "annotations"}) {
      const Json* field = message.find(name);
      const bool empty = field == nullptr || (field->is_array() && field->empty());
      if (!empty) return message.unsupported(name, "is not supported");
    }
  } else if (role == "tool") {
    TQ_TRY(parse_tool_reply(message, out, open));
  } else {
    open.clear();
  }
  if (!content && !out.contains("tool_calls")) {
    return message.wrong("content", "is missing");
  }
  out["content"] = content ? Json(*content) : Json("");
  TQ_ASSIGN(const auto name, message.text("name", kNameBytesMax));
  if (name) out["name"] = *name;
  TQ_TRY(message.expect_no_more());
  return out;
}

Result<void> parse_effort(Fields& fields, const ApiContext& context, Json& variables) {
  TQ_ASSIGN(const auto effort, fields.text("reasoning_effort", kNameBytesMax));
  if (!effort) return {};
  constexpr std::array<std::string_view, 6> kKnown{"none",   "minimal", "low",
                                                   "medium", "high",    "xhigh"};
  if (std::find(kKnown.begin(), kKnown.end(), *effort) == kKnown.end()) {
    return fields.wrong("reasoning_effort", "must be none, minimal, low, medium, high or xhigh");
  }
  if (!context.template_reads_effort) {
    return fields.unsupported("reasoning_effort", "is not supported by this model's template");
  }
  variables["reasoning_effort"] = *effort;
  return {};
}

Result<void> parse_logprobs(Fields& fields, engine::SamplingParams& sampling) {
  TQ_ASSIGN(const auto logprobs, fields.boolean("logprobs"));
  sampling.logprobs = logprobs.value_or(false);
  TQ_ASSIGN(const auto top, fields.integer("top_logprobs", {0, limits::kTopLogprobsMax}));
  if (top && *top > 0 && !sampling.logprobs) {
    return fields.wrong("top_logprobs", "needs 'logprobs': true");
  }
  sampling.top_logprobs = static_cast<int>(top.value_or(0));
  return {};
}

}  // namespace

Result<Json> parse_messages(const Json& messages, const std::string& path) {
  const auto wrong = [&](std::string message) {
    return Error{Code::kInvalidArgument, "'" + path + "' " + std::move(message), path};
  };
  if (!messages.is_array()) return wrong("must be an array of messages");
  if (messages.empty()) return wrong("must have at least one message");
  if (messages.size() > static_cast<size_t>(limits::kMessagesMax)) {
    return wrong("has " + std::to_string(messages.size()) + " messages; at most " +
                 std::to_string(limits::kMessagesMax) + " are allowed");
  }
  Json out = Json::array();
  OpenCalls open;
  for (size_t i = 0; i < messages.size(); ++i) {
    TQ_ASSIGN(Json message, parse_message(messages[i], path + "." + std::to_string(i), open));
    out.push_back(std::move(message));
  }
  return out;
}

Result<Json> parse_template_variables(Fields& fields, const ApiContext& context) {
  if (!context.has_chat_template) {
    return fields.unsupported("messages", "is not supported: the model has no chat template");
  }
  const Json* messages = fields.find("messages");
  if (messages == nullptr) return fields.wrong("messages", "is missing");
  Json variables = Json::object();
  if (const Json* kwargs = fields.find("chat_template_kwargs")) {
    if (!kwargs->is_object()) return fields.wrong("chat_template_kwargs", "must be an object");
    for (const char* reserved : {"messages", "tools", "documents", "bos_token", "eos_token"}) {
      if (kwargs->contains(reserved)) {
        return fields.wrong("chat_template_kwargs." + std::string(reserved), "is reserved");
      }
    }
    variables = *kwargs;
  }
  TQ_ASSIGN(variables["messages"], parse_messages(*messages, fields.path("messages")));
  TQ_ASSIGN(const auto add, fields.boolean("add_generation_prompt"));
  if (add || !variables.contains("add_generation_prompt")) {
    variables["add_generation_prompt"] = add.value_or(true);
  }
  TQ_TRY(parse_effort(fields, context, variables));
  return variables;
}

Result<GenerationRequest> parse_chat_request(std::string_view body, const ApiContext& context) {
  TQ_ASSIGN(const Json json, parse_json(body));
  TQ_ASSIGN(Fields fields, Fields::open(json, ""));
  GenerationRequest request;
  request.kind = ApiKind::kChat;
  TQ_TRY(parse_common(fields, context, request));
  TQ_ASSIGN(request.template_variables, parse_template_variables(fields, context));
  TQ_TRY(parse_logprobs(fields, request.sampling));
  for (const char* name : {"echo", "suffix"}) {
    const Json* value = fields.find(name);
    if (value != nullptr && *value != false && *value != "") {
      return fields.unsupported(name, "is not supported in a chat");
    }
  }
  TQ_TRY(fields.expect_no_more());
  if (request.n > context.choices_max) {
    return fields.wrong(
        "n", "is more than the queue holds, which is " + std::to_string(context.choices_max));
  }
  return request;
}

}  // namespace tq::server
