#pragma once
// MappedFile: a whole file mapped read-only, unmapped on destruction. Move-only value; reading
// bytes() is safe from any thread. The size is fixed when the file is opened: a file that another
// process truncates while it is mapped raises SIGBUS at the first touch of a lost page, so model
// files are replaced by rename, never rewritten in place.

#include <cstddef>
#include <span>
#include <string>

#include "config/result.h"

namespace tq::models {

class MappedFile {
 public:
  // kNotFound where nothing is there, kIo where the system refuses, kCorrupt for an empty file.
  static Result<MappedFile> open(const std::string& path);

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const noexcept { return bytes_; }

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::span<const std::byte> bytes_;
};

// The pages that lie wholly inside `part` of a mapped file's bytes leave this process's memory
// until they are read again. Never for other memory, whose contents would be lost.
void drop_pages(std::span<const std::byte> part) noexcept;

}  // namespace tq::models
