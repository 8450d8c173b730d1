#pragma once
// A typed request -> prompts in tokens that fit the context: template, tokenizer, limits. The
// costly part of a request, run on an io thread. Pure; any thread.

#include <string>
#include <vector>

#include "config/result.h"
#include "server/app.h"
#include "server/openai_request.h"

namespace tq::server {

struct PreparedPrompt {
  std::vector<TokenId> tokens;
  std::string text;  // what echo repeats
};

Result<std::string> render_template(const App& app, Json variables);

Result<std::vector<PreparedPrompt>> prepare_prompts(const App& app,
                                                    const GenerationRequest& request);

// Completion tokens for a prompt of that length; kContextLength, with the numbers, where none fit.
Result<int64_t> fit_max_tokens(int64_t prompt_tokens, int64_t max_tokens, int64_t context_max);

// One job per prompt and choice, in the order of the choices' indices. Sinks are still unset.
Result<std::vector<engine::Job>> make_jobs(const App& app,
                                           const GenerationRequest& request,
                                           const std::vector<PreparedPrompt>& prompts);

}  // namespace tq::server
