#pragma once
// Generation: answers one /v1/chat/completions or /v1/completions request, streamed or whole:
// validate, tokenise, admit, then pass on what the feed brings until the last choice has finished,
// the client has gone or the time is up. Strand only.

#include <memory>
#include <string>

#include "server/app.h"
#include "server/exchange.h"
#include "server/openai_request.h"

namespace tq::server {

// False: the connection is unusable. Whatever was admitted is finished or cancelled on return.
asio::awaitable<bool> answer_generation(App& app,
                                        Exchange& exchange,
                                        ApiKind kind,
                                        std::string body);

}  // namespace tq::server
