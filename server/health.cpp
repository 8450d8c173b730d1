#include "server/health.h"

#include <utility>

#include "config/version.h"
#include "server/openai_response.h"
#include "server/prepare.h"

namespace tq::server {
namespace {

HttpResponse json_response(const Json& json) {
  HttpResponse response;
  response.body = dump(json);
  return response;
}

template <class T>
HttpResponse json_or_error(Result<T> result) {
  return result.ok() ? json_response(*result) : error_response(result.error());
}

bool is_healthy(const App& app) {
  return app.engine.stats().healthy.load(std::memory_order_relaxed);
}

Error unhealthy() { return Error{Code::kUnavailable, "the engine cannot run steps any more", ""}; }

Json model_json(const App& app) {
  return Json{{"id", app.api.model_name},
              {"object", "model"},
              {"created", app.created},
              {"owned_by", "turboquant-server"},
              {"max_model_len", app.api.context_max}};
}

Result<Json> model_by_id(const App& app, const std::string& id) {
  if (id == app.api.model_name) return model_json(app);
  return Error{Code::kNotFound, "the model '" + id + "' does not exist", "model"};
}

Result<Json> tokenize(const App& app, const std::string& body) {
  TQ_ASSIGN(TokenizeRequest request, parse_tokenize_request(body, app.api));
  std::string text;
  if (request.is_chat) {
    TQ_ASSIGN(text, render_template(app, std::move(request.template_variables)));
  } else {
    text = std::get<std::string>(request.prompt);
  }
  const auto tokens = app.tokenizer.encode(
      text, {.add_special = request.add_special_tokens, .parse_special = true});
  Json out = {{"count", tokens.size()}, {"max_model_len", app.api.context_max}};
  out["tokens"] = tokens;
  out["token_strs"] = nullptr;
  if (request.return_token_strs) {
    Json strings = Json::array();
    for (const TokenId id : tokens) strings.push_back(std::string(app.tokenizer.piece(id, true)));
    out["token_strs"] = std::move(strings);
  }
  return out;
}

Result<Json> detokenize(const App& app, const std::string& body) {
  TQ_ASSIGN(const auto tokens, parse_detokenize_request(body, app.api));
  return Json{{"prompt", app.tokenizer.decode(tokens, true)}};
}

Result<Json> apply_template(const App& app, const std::string& body) {
  TQ_ASSIGN(Json variables, parse_template_request(body, app.api));
  TQ_ASSIGN(std::string text, render_template(app, std::move(variables)));
  return Json{{"prompt", std::move(text)}};
}

HttpResponse metrics_response(const App& app) {
  HttpResponse response;
  response.content_type = kMetricsContentType;
  response.body = render_metrics({.stats = app.engine.stats(),
                                  .http = app.http,
                                  .kv = app.kv,
                                  .model_name = app.api.model_name});
  return response;
}

}  // namespace

HttpResponse health_response(const App& app) {
  if (!is_healthy(app)) return error_response(unhealthy());
  return json_response(Json{{"status", "ok"}});
}

HttpResponse ready_response(const App& app) {
  if (!is_healthy(app)) return error_response(unhealthy());
  if (app.draining.load()) {
    return error_response(Error{Code::kUnavailable, "the server is shutting down", ""});
  }
  return json_response(Json{{"status", "ready"}});
}

HttpResponse answer_at_once(const App& app, const RouteMatch& route, const std::string& body) {
  switch (route.endpoint) {
    case Endpoint::kHealth: return health_response(app);
    case Endpoint::kReady: return ready_response(app);
    case Endpoint::kMetrics: return metrics_response(app);
    case Endpoint::kVersion: return json_response(Json{{"version", version()}});
    case Endpoint::kModels:
      return json_response(Json{{"object", "list"}, {"data", Json::array({model_json(app)})}});
    case Endpoint::kModel: return json_or_error(model_by_id(app, route.rest));
    case Endpoint::kTokenize: return json_or_error(tokenize(app, body));
    case Endpoint::kDetokenize: return json_or_error(detokenize(app, body));
    case Endpoint::kApplyTemplate: return json_or_error(apply_template(app, body));
    case Endpoint::kNotBuilt:
      return error_response(
          Error{Code::kUnsupported, "this server does not offer that endpoint", ""});
    case Endpoint::kChatCompletions:
    case Endpoint::kCompletions: break;
  }
  return error_response(Error{Code::kInternal, "the endpoint has no answer", ""});
}

}  // namespace tq::server
