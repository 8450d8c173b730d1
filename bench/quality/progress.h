#pragma once
// Progress: a bar on stderr, where that is a terminal; nothing elsewhere. One thread.

#include <cstdint>
#include <string>

namespace tq::bench {

class Progress {
 public:
  explicit Progress(int64_t n_total);
  ~Progress();  // wipes the bar
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void add(int64_t n, const std::string& label);

 private:
  int64_t n_total_;
  int64_t n_done_ = 0;
  bool is_shown_;
};

}  // namespace tq::bench
