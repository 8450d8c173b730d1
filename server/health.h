#pragma once
// The endpoints that are answered at once, without the engine: probes, model list, tokens,
// template. Any io thread.

#include <string>

#include "server/api_error.h"
#include "server/app.h"
#include "server/router.h"

namespace tq::server {

// /health: the process and its engine are fit (draining too). /ready: it takes requests.
HttpResponse health_response(const App& app);
HttpResponse ready_response(const App& app);

// Every endpoint but the two that generate.
HttpResponse answer_at_once(const App& app, const RouteMatch& route, const std::string& body);

}  // namespace tq::server
