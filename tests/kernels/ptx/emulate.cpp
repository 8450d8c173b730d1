#include "tests/kernels/ptx/emulate.h"

#include <elf.h>
#include <link.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <unordered_map>
#include <utility>

#include "tests/kernels/ptx/machine.h"
#include "tests/kernels/simt/runner.h"

namespace tq::kernels::ptx {
namespace {

std::string read_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Fault("cannot read " + std::string(path));
  return {std::istreambuf_iterator<char>(file), {}};
}

template <class T>
T value_at(const std::string& bytes, size_t at) {
  T value;
  if (at + sizeof value > bytes.size()) throw Fault("the program's own ELF is cut off");
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

// Where this program was loaded.
uint64_t load_address() {
  uint64_t address = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* out) {
        *static_cast<uint64_t*>(out) = info->dlpi_addr;
        return 1;  // the first one is the program
      },
      &address);
  return address;
}

// Mangled names of this program's functions, by address: kernels are local, so the dynamic linker
// does not know them.
std::unordered_map<uint64_t, std::string> function_names() {
  const std::string elf = read_file("/proc/self/exe");
  const auto header = value_at<Elf64_Ehdr>(elf, 0);
  const auto section = [&](size_t i) {
    return value_at<Elf64_Shdr>(elf, header.e_shoff + i * header.e_shentsize);
  };
  std::unordered_map<uint64_t, std::string> names;
  const uint64_t base = load_address();
  for (size_t i = 0; i < header.e_shnum; ++i) {
    const Elf64_Shdr symbols = section(i);
    if (symbols.sh_type != SHT_SYMTAB) continue;
    const Elf64_Shdr strings = section(symbols.sh_link);
    for (uint64_t at = 0; at < symbols.sh_size; at += sizeof(Elf64_Sym)) {
      const auto symbol = value_at<Elf64_Sym>(elf, symbols.sh_offset + at);
      if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_value == 0) continue;
      names[base + symbol.st_value] = elf.c_str() + strings.sh_offset + symbol.st_name;
    }
  }
  return names;
}

class Emulator {
 public:
  explicit Emulator(std::shared_ptr<Program> program)
      : program_(std::move(program)), names_(function_names()) {}
  Emulator(const Emulator&) = delete;
  Emulator& operator=(const Emulator&) = delete;
  // At the program's end.
  ~Emulator() {
    std::set<std::string> missing;
    for (std::string& name : program_->names()) missing.insert(std::move(name));
    const size_t n = missing.size();
    for (const auto& [function, code] : codes_) missing.erase(code.kernel->name);
    std::printf("ptx: ran %zu of %zu kernels\n", n - missing.size(), n);
    for (const std::string& name : missing) std::printf("ptx: not run: %s\n", name.c_str());
  }

  void run(const simt::Launch& launch, const void* function, std::span<const std::byte> params) {
    const Code& code = code_of(function);
    const Kernel& kernel = *code.kernel;
    if (kernel.param_bytes != params.size()) throw Fault(kernel.name + ": size of its parameter");
    if (launch.block.x > kernel.n_threads_max || launch.block.y * launch.block.z != 1) {
      throw Fault(kernel.name + ": threads of a block");
    }
    if (launch.grid.z != 1) throw Fault(kernel.name + ": dimensions of its grid");
    GlobalMemory memory;
    for (unsigned y = 0; y < launch.grid.y; ++y) {
      for (unsigned x = 0; x < launch.grid.x; ++x) {
        Block block(code, launch, params, memory, {x, y, 0});
        run_block(block);
      }
    }
  }

 private:
  const Code& code_of(const void* function) {
    if (const auto known = codes_.find(function); known != codes_.end()) return known->second;
    const auto name = names_.find(reinterpret_cast<uint64_t>(function));
    if (name == names_.end()) throw Fault("a kernel without a name");
    const Kernel& kernel = program_->kernel(plain_name(name->second.c_str()));
    return codes_.emplace(function, decode(kernel)).first->second;
  }

  std::shared_ptr<Program> program_;
  std::unordered_map<uint64_t, std::string> names_;
  std::unordered_map<const void*, Code> codes_;
};

// TQ_PTX names a file that cuobjdump --dump-ptx wrote; without it kernels run from source.
const bool is_emulated = [] {
  const char* const path = std::getenv("TQ_PTX");
  if (path != nullptr) emulate(std::make_shared<Program>(read_file(path)));
  return path != nullptr;
}();

}  // namespace

void emulate(std::shared_ptr<Program> program) {
  simt::run_kernels_with(
      [emulator = std::make_shared<Emulator>(std::move(program))](
          const simt::Launch& launch, const void* function, std::span<const std::byte> params) {
        emulator->run(launch, function, params);
      });
}

}  // namespace tq::kernels::ptx
