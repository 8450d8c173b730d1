#include "models/chat_template/chat_template.h"

#include <exception>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "config/limits.h"
#include "models/chat_template/eval.h"
#include "models/chat_template/parser.h"
#include "models/chat_template/template_error.h"

namespace tq::models {

struct ChatTemplate::Impl {
  std::string source;
  std::unique_ptr<const jinja::Program> program;
};

namespace {

std::string at_line(int line) {
  return line > 0 ? "chat template, line " + std::to_string(line) : "chat template";
}

}  // namespace

Result<ChatTemplate> ChatTemplate::parse(std::string source) {
  if (source.size() > limits::kTemplateBytesMax)
    return Error{Code::kTooLarge,
                 "the template has " + std::to_string(source.size()) + " bytes; the limit is " +
                     std::to_string(limits::kTemplateBytesMax),
                 "chat template"};
  auto impl = std::make_unique<Impl>();
  impl->source = std::move(source);
  try {
    impl->program = jinja::Parser(impl->source).parse();
  } catch (const jinja::TemplateError& error) {
    return Error{error.code(), "line " + std::to_string(error.line()) + ": " + error.message(),
                 at_line(error.line())};
  } catch (const std::exception& error) {
    return Error{Code::kInternal, error.what(), "chat template"};
  }
  return ChatTemplate(std::unique_ptr<const Impl>(std::move(impl)));
}

Result<std::string> ChatTemplate::render(const nlohmann::ordered_json& variables) const {
  if (!variables.is_object())
    return Error{Code::kInvalidArgument, "the variables of a chat template must be an object",
                 "chat template"};
  try {
    return jinja::Interpreter(*impl_->program).run(variables);
  } catch (const jinja::TemplateError& error) {
    return Error{error.code(), error.message(), at_line(error.line())};
  } catch (const std::exception& error) {
    return Error{Code::kInternal, error.what(), "chat template"};
  }
}

const std::string& ChatTemplate::source() const noexcept { return impl_->source; }

ChatTemplate::ChatTemplate(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

}  // namespace tq::models
