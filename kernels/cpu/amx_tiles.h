// AMX's tile registers for linear_bf16_amx.h and linear_amx_body.h. Assembly: the compiler's
// intrinsics want literals for tiles, and GCC 12's for the configuration names only 8 of its 64
// bytes as read, so that the others may never be written.

namespace tq::kernels::TQ_ISA {

struct Tiles {
  // Any code between begin() and end() of a thread finds tiles for so many rows, up to 32, of sums
  // and inputs: 0, 1 and 4 for the first 16, 2, 3 and 5 for the others. 6 and 7 have 16 rows. All
  // rows have 64 bytes.
  static void begin(int64_t n_rows) noexcept {
    struct alignas(64) Configuration {
      uint8_t palette = 1;
      uint8_t start_row = 0;
      uint8_t reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {};
    };
    static_assert(sizeof(Configuration) == 64);
    const auto first = static_cast<uint8_t>(n_rows < 16 ? n_rows : 16);
    const auto others = static_cast<uint8_t>(n_rows > 16 ? n_rows - 16 : 1);
    const Configuration configuration{
        .rows = {first, first, others, others, first, others, 16, 16}};
    asm volatile("ldtilecfg %0" ::"m"(configuration));
  }
  static void end() noexcept { asm volatile("tilerelease"); }

  template <int kTile>
  static void zero() noexcept {
    asm volatile("tilezero %%tmm%c0" ::"i"(kTile));
  }
  template <int kTile>
  static void load(const void* from, size_t stride) noexcept {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(kTile) : "memory");
  }
  template <int kTile>
  static void store(void* to, size_t stride) noexcept {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(kTile) : "memory");
  }
  template <int kSum, int kA, int kB>
  static void dot() noexcept {
    asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSum), "i"(kA), "i"(kB));
  }
  template <int kSum, int kA, int kB>
  static void dot_signed() noexcept {
    asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSum), "i"(kA), "i"(kB));
  }
  template <int kSum, int kA, int kB>
  static void dot_bf16() noexcept {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSum), "i"(kA), "i"(kB));
  }
};

}  // namespace tq::kernels::TQ_ISA
