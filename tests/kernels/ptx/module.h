#pragma once
// PTX as nvcc embeds it in an object (cuobjdump --dump-ptx), cut into kernels and these into
// statements. Knows names and sizes, not what an instruction does. One thread.

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace tq::kernels::ptx {

// What a kernel must not do, or what is not understood of it.
class Fault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Where the spaces begin that are not the host's own memory; nothing lies at 0.
inline constexpr uint64_t kSpaceStart = 1024;

inline constexpr int kPredicate = 0;  // as a size in bytes

struct Statement {
  std::string text;
  std::string opcode;  // mov of a vector: with .pack or .unpack behind it
  std::string guard;   // of a branch; empty: none
  bool guard_negated = false;
  std::vector<std::string> operands;  // without braces and bars: {a, b}, c is a, b, c
};

struct Kernel {
  std::string name;  // as demangled
  unsigned n_threads_max = 0;
  size_t param_bytes = 0;
  size_t shared_bytes = 0;  // the block's own; dynamic ones come after them
  size_t local_bytes = 0;   // of a thread
  std::map<std::string, int, std::less<>> registers;       // bytes, by their name without a number
  std::map<std::string, uint64_t, std::less<>> addresses;  // of variables
  std::map<std::string, size_t, std::less<>> labels;       // the statement after each
  std::vector<Statement> statements;
};

// A kernel's name without its parameters and with nothing that differs between compilers:
// "tq::kernels::cuda::attend<4, 2, 64, 8>".
std::string plain_name(const char* mangled);

class Program {
 public:
  explicit Program(std::string text);

  std::vector<std::string> names() const;
  // Kept. Of a kernel that was compiled for several devices, the first.
  const Kernel& kernel(std::string_view name);

 private:
  struct Source {
    std::string_view text;     // from ".entry" to the closing brace
    std::string_view outside;  // declarations of its module
  };
  std::string text_;
  std::map<std::string, Source, std::less<>> sources_;
  std::map<std::string, Kernel, std::less<>> kernels_;
  std::vector<std::unique_ptr<std::vector<std::byte>>> constants_;  // arrays of modules
};

}  // namespace tq::kernels::ptx
