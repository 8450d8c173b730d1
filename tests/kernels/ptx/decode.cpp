// From statements to instructions: registers and constants get their places in a warp.
#include <algorithm>
#include <charconv>
#include <map>

#include "tests/kernels/ptx/operations.h"

namespace tq::kernels::ptx {
namespace {

class Decoder {
 public:
  explicit Decoder(const Kernel& kernel) : kernel_(kernel) { code_.kernel = &kernel; }

  Code run() && {
    for (const Statement& statement : kernel_.statements) {
      try {
        code_.instructions.push_back(decode(statement));
      } catch (const std::exception& error) {
        throw Fault(kernel_.name + ": " + error.what() + ": " + statement.text);
      }
    }
    return std::move(code_);
  }

 private:
  struct Place {
    uint32_t at = 0;
    int size = 0;
  };

  Instruction decode(const Statement& statement) {
    const bool is_branch = statement.opcode == "bra" || statement.opcode == "bra.uni";
    if (is_branch) return branch(statement);
    if (!statement.guard.empty()) throw Fault("a guard on what is no branch");
    if (statement.opcode == "ret") return {.kind = Kind::kExit};
    const Operation& operation = find_operation(statement.opcode);
    if (statement.operands.size() != operation.sizes.size()) throw Fault("number of operands");
    Instruction instruction{.run = operation.run,
                            .kind = operation.kind,
                            .n_operands = static_cast<uint8_t>(operation.sizes.size())};
    for (size_t i = 0; i < operation.sizes.size(); ++i) {
      const std::string& text = statement.operands[i];
      const int size = operation.sizes[i];
      const bool is_address = operation.memory && text.starts_with('[');
      const Place place = is_address ? address(text, instruction.displacement) : value(text, size);
      const bool fits = is_address ? place.size >= 4
                                   : place.size == size || (operation.memory && place.size > size);
      if (!fits) throw Fault("an operand of another size");
      instruction.operands[i] = place.at;
      if (operation.memory) instruction.sizes[i] = static_cast<uint8_t>(place.size);
    }
    return instruction;
  }

  Instruction branch(const Statement& statement) {
    const auto label = kernel_.labels.find(statement.operands.at(0));
    if (label == kernel_.labels.end()) throw Fault("no such label");
    Instruction instruction{.kind = Kind::kBranch,
                            .guard_negated = statement.guard_negated,
                            .target = static_cast<uint32_t>(label->second)};
    const bool is_guarded = !statement.guard.empty();
    const Place guard =
        is_guarded ? value(statement.guard, kPredicate) : constant(~uint64_t{0}, kPredicate);
    if (guard.size != kPredicate) throw Fault("no predicate");
    instruction.operands[0] = guard.at;
    return instruction;
  }

  // [base], [base+12] or [base+-12].
  Place address(std::string_view text, int64_t& displacement) {
    text = text.substr(1, text.size() - 2);
    const size_t plus = text.find('+');
    if (plus != std::string_view::npos) {
      displacement = static_cast<int64_t>(number(text.substr(plus + 1)));
    }
    return value(std::string(text.substr(0, plus)), 4);
  }

  // A register, a special one, a variable's address or a number of `size` bytes.
  Place value(const std::string& text, int size) {
    if (const auto special = specials().find(text); special != specials().end()) {
      const Place place = register_of(text, 4);
      code_.specials.emplace_back(special->second, place.at);
      return place;
    }
    const bool is_numbered = text.starts_with('%');
    const size_t name_end = is_numbered ? text.find_first_of("0123456789") : text.size();
    if (const auto declared = kernel_.registers.find(text.substr(0, name_end));
        declared != kernel_.registers.end()) {
      return register_of(text, declared->second);
    }
    if (is_numbered) throw Fault("no such register");
    if (const auto variable = kernel_.addresses.find(text); variable != kernel_.addresses.end()) {
      return constant(variable->second, std::max(size, 4));
    }
    return constant(number(text), size);
  }

  static const std::map<std::string, Code::Special>& specials() {
    static const std::map<std::string, Code::Special> known{{"%tid.x", Code::Special::kThread},
                                                            {"%ctaid.x", Code::Special::kBlockX},
                                                            {"%ctaid.y", Code::Special::kBlockY},
                                                            {"%ntid.x", Code::Special::kThreads}};
    return known;
  }

  // -5, 7, 0f3F800000 or 0d...: the bits of a float in hexadecimal.
  static uint64_t number(std::string_view text) {
    const bool is_float = text.starts_with("0f") || text.starts_with("0d");
    const bool is_negative = text.starts_with('-');
    const std::string_view digits = text.substr(is_float ? 2 : is_negative ? 1 : 0);
    uint64_t bits = 0;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), bits, is_float ? 16 : 10);
    if (error != std::errc{} || end != digits.data() + digits.size()) throw Fault("no operand");
    return is_negative ? 0 - bits : bits;
  }

  Place reserve(int size) {
    constexpr uint32_t kAlignment = 64;
    const uint32_t at = code_.register_bytes;
    const uint32_t n = size == kPredicate ? sizeof(uint32_t) : kLanes * static_cast<uint32_t>(size);
    code_.register_bytes = (at + n + kAlignment - 1) / kAlignment * kAlignment;
    return {at, size};
  }
  Place register_of(const std::string& name, int size) {
    const auto [place, is_new] = registers_.try_emplace(name);
    if (is_new) place->second = reserve(size);
    return place->second;
  }
  Place constant(uint64_t bits, int size) {
    const auto [place, is_new] = constants_.try_emplace({bits, size});
    if (is_new) {
      place->second = reserve(size);
      code_.constants.push_back({place->second.at, size, bits});
    }
    return place->second;
  }

  const Kernel& kernel_;
  Code code_;
  std::unordered_map<std::string, Place> registers_;
  std::map<std::pair<uint64_t, int>, Place> constants_;
};

}  // namespace

const Operation& find_operation(std::string_view opcode) {
  static const Table table = [] {
    Table all = arithmetic();
    all.merge(conversions());
    all.merge(memory_accesses());
    all.merge(meetings());
    return all;
  }();
  const auto found = table.find(std::string(opcode));
  if (found == table.end()) throw Fault("an unknown instruction");
  return found->second;
}

Code decode(const Kernel& kernel) { return Decoder(kernel).run(); }

}  // namespace tq::kernels::ptx
