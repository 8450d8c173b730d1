#include "server/prepare.h"

#include <algorithm>
#include <utility>

#include "config/limits.h"

namespace tq::server {
namespace {

Error over_context(int64_t prompt_tokens, int64_t completion_tokens, int64_t context_max) {
  return Error{Code::kContextLength,
               "this model's maximum context length is " + std::to_string(context_max) +
                   " tokens, but the request needs " +
                   std::to_string(prompt_tokens + completion_tokens) + ": " +
                   std::to_string(prompt_tokens) + " in the prompt and " +
                   std::to_string(completion_tokens) + " in the completion",
               ""};
}

std::string special_piece(const models::Tokenizer& tokenizer, TokenId id) {
  return id < 0 ? std::string() : std::string(tokenizer.piece(id, true));
}

Result<PreparedPrompt> prepare_chat(const App& app, const GenerationRequest& request) {
  PreparedPrompt prompt;
  TQ_ASSIGN(prompt.text, render_template(app, request.template_variables));
  // The template writes its own bos.
  prompt.tokens = app.tokenizer.encode(prompt.text, {.add_special = false, .parse_special = true});
  return prompt;
}

PreparedPrompt prepare_text(const App& app, const PromptInput& input, bool echo) {
  PreparedPrompt prompt;
  if (const auto* text = std::get_if<std::string>(&input)) {
    prompt.text = *text;
    prompt.tokens = app.tokenizer.encode(*text, {.add_special = true, .parse_special = true});
  } else {
    prompt.tokens = std::get<std::vector<TokenId>>(input);
    if (echo) prompt.text = app.tokenizer.decode(prompt.tokens);
  }
  return prompt;
}

}  // namespace

ApiContext make_api_context(const ModelFacts& facts,
                            const engine::Engine& engine,
                            const models::Tokenizer& tokenizer,
                            const models::ChatTemplate* chat_template) {
  ApiContext api;
  api.model_name = facts.name;
  api.context_max = engine.context_max();
  api.vocab_size = tokenizer.vocab_size();
  api.choices_max = std::min(facts.queue_max, limits::kPromptsMax * limits::kChoicesMax);
  api.has_chat_template = chat_template != nullptr;
  api.template_reads_effort = chat_template != nullptr &&
                              chat_template->source().find("reasoning_effort") != std::string::npos;
  return api;
}

Result<std::string> render_template(const App& app, Json variables) {
  const auto& special = app.tokenizer.special();
  variables["bos_token"] = special_piece(app.tokenizer, special.bos);
  variables["eos_token"] = special_piece(app.tokenizer, special.eos);
  auto text = app.chat_template->render(variables);
  if (text.ok()) return text;
  Error error = std::move(text).error();
  error.message = "the chat template refused the messages: " + error.message;
  error.where = "messages";
  return error;
}

Result<std::vector<PreparedPrompt>> prepare_prompts(const App& app,
                                                    const GenerationRequest& request) {
  std::vector<PreparedPrompt> prompts;
  if (request.kind == ApiKind::kChat) {
    TQ_ASSIGN(PreparedPrompt prompt, prepare_chat(app, request));
    prompts.push_back(std::move(prompt));
  } else {
    for (const PromptInput& input : request.prompts) {
      prompts.push_back(prepare_text(app, input, request.echo));
    }
  }
  return prompts;
}

Result<int64_t> fit_max_tokens(int64_t prompt_tokens, int64_t max_tokens, int64_t context_max) {
  const int64_t wanted = std::max<int64_t>(max_tokens, 1);
  if (prompt_tokens + wanted > context_max) {
    return over_context(prompt_tokens, wanted, context_max);
  }
  return max_tokens > 0 ? max_tokens : context_max - prompt_tokens;
}

Result<std::vector<engine::Job>> make_jobs(const App& app,
                                           const GenerationRequest& request,
                                           const std::vector<PreparedPrompt>& prompts) {
  const bool chat = request.kind == ApiKind::kChat;
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(app.config.request_ms_max);
  std::vector<engine::Job> jobs;
  for (size_t p = 0; p < prompts.size(); ++p) {
    const auto n_tokens = static_cast<int64_t>(prompts[p].tokens.size());
    std::string where = chat ? "messages" : "prompt";
    if (prompts.size() > 1) where += "." + std::to_string(p);
    if (n_tokens == 0) {
      return Error{Code::kInvalidArgument, "'" + where + "' has no tokens; at least one is needed",
                   where};
    }
    auto max_tokens = fit_max_tokens(n_tokens, request.stop.max_tokens, app.api.context_max);
    if (!max_tokens) {
      Error error = std::move(max_tokens).error();
      error.where = where;
      return error;
    }
    for (int choice = 0; choice < request.n; ++choice) {
      engine::Job& job = jobs.emplace_back();
      job.prompt = prompts[p].tokens;
      job.sampling = request.sampling;
      if (job.sampling.seed) *job.sampling.seed += static_cast<uint64_t>(choice);  // choices differ
      job.stop = request.stop;
      job.stop.max_tokens = *max_tokens;
      job.priority = request.priority;
      job.deadline = deadline;
    }
  }
  return jobs;
}

}  // namespace tq::server
