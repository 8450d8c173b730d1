#include "models/weights/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

namespace tq::models {
namespace {

Error system_error(const std::string& path, const char* doing) {
  const int number = errno;
  return Error{number == ENOENT ? Code::kNotFound : Code::kIo,
               std::string(doing) + ": " + std::strerror(number), path};
}

// Closes the descriptor at the end of the scope; a mapping outlives it.
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return system_error(path, "cannot open");
  struct stat info {};
  if (::fstat(file.fd, &info) != 0) return system_error(path, "cannot stat");
  if (!S_ISREG(info.st_mode)) return Error{Code::kIo, "not a regular file", path};
  if (info.st_size <= 0) return Error{Code::kCorrupt, "the file is empty", path};
  const size_t size = static_cast<size_t>(info.st_size);
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (address == MAP_FAILED) return system_error(path, "cannot map");
  return MappedFile(std::span(static_cast<const std::byte*>(address), size));
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

void drop_pages(std::span<const std::byte> part) noexcept {
  static const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<uintptr_t>(part.data());
  const uintptr_t skipped = (page - first % page) % page;  // to the first whole page
  if (part.size() < skipped + page) return;
  const uintptr_t n_bytes = (part.size() - skipped) / page * page;
  // A private mapping that is never written reads the same from the file again.
  ::madvise(const_cast<std::byte*>(part.data()) + skipped, n_bytes, MADV_DONTNEED);
}

}  // namespace tq::models
