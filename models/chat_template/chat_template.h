#pragma once
// ChatTemplate: messages -> prompt text, by the Jinja template that the model's files carry. A
// sandboxed, bounded interpreter of the Jinja subset that Hugging Face templates use; output equals
// Python jinja2's (trim_blocks and lstrip_blocks on, as transformers sets them) byte for byte.
// Immutable after parse(); render() may be called from any thread at once.

#include <memory>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "config/result.h"

namespace tq::models {

class ChatTemplate {
 public:
  // kInvalidArgument with line number when the source is not a template we can run.
  static Result<ChatTemplate> parse(std::string source);

  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  // variables: an object; transformers passes messages, tools, documents, add_generation_prompt,
  // bos_token, eos_token and whatever chat_template_kwargs holds. raise_exception() in the template
  // gives kInvalidArgument with its message; passing a bound of config/limits.h gives kTooLarge.
  Result<std::string> render(const nlohmann::ordered_json& variables) const;

  const std::string& source() const noexcept;

 private:
  struct Impl;
  explicit ChatTemplate(std::unique_ptr<const Impl> impl);
  std::unique_ptr<const Impl> impl_;
};

}  // namespace tq::models
