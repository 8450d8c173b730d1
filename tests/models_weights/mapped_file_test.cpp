// drop_pages(): memory is given back, and the bytes are the file's again when read.
#include <catch2/catch.hpp>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "models/weights/mapped_file.h"

namespace tq::models {
namespace {

constexpr size_t kMiB = size_t{1} << 20;
constexpr size_t kSize = 8 * kMiB + 123;

// Pages of mapped files that this process holds.
size_t resident_file_bytes() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    size_t kib = 0;
    if (word == "RssFile:" && status >> kib) return kib * 1024;
  }
  FAIL("the kernel does not tell RssFile");
  return 0;
}

char byte_at(size_t i) { return static_cast<char>(i * 31 % 251); }

size_t count_wrong(std::span<const std::byte> bytes) {
  size_t wrong = 0;
  for (size_t i = 0; i < bytes.size(); ++i) wrong += bytes[i] != static_cast<std::byte>(byte_at(i));
  return wrong;
}

}  // namespace

TEST_CASE("dropped pages leave memory and come back from the file") {
  const auto path = std::filesystem::temp_directory_path() / "tq_mapped_file_test.bin";
  {
    std::vector<char> content(kSize);
    for (size_t i = 0; i < kSize; ++i) content[i] = byte_at(i);
    std::ofstream(path, std::ios::binary).write(content.data(), kSize);
  }
  const auto file = MappedFile::open(path.string());
  REQUIRE(file.ok());
  CHECK(count_wrong(file->bytes()) == 0);
  const size_t held = resident_file_bytes();
  // Not whole pages at either end: these may hold what belongs to others.
  drop_pages(file->bytes().subspan(5, kSize - 10));
  CHECK(resident_file_bytes() + 7 * kMiB < held);
  CHECK(count_wrong(file->bytes()) == 0);
  drop_pages(file->bytes().subspan(100, 200));  // inside a page: nothing to drop
  drop_pages({});
  CHECK(count_wrong(file->bytes()) == 0);
  std::filesystem::remove(path);
}

}  // namespace tq::models
