// The interpreter of PTX itself, on small kernels: what each kind of instruction does by the PTX
// ISA, and that what a kernel must not do is a fault.
#include <bit>
#include <catch2/catch.hpp>
#include <functional>
#include <limits>

#include "quant/float16.h"
#include "tests/kernels/ptx/machine.h"
#include "tests/kernels/simt/regions.h"

namespace tq::kernels::ptx {
namespace {

using Words = std::vector<uint32_t>;

// Runs a body over one block, with the words' address in %rd1, a thread's own word's in %rd2 and
// its number in %r1. The words are the only memory of the device.
void run_body(const std::string& body, Words& words, unsigned n_threads = 32) {
  const std::string text =
      ".version 9.0\n.entry test(\n.param .align 8 .b8 param[8]\n)\n.maxntid 128, 1, 1\n{\n"
      ".shared .align 16 .b8 shared[512];\n.local .align 4 .b8 depot[8];\n"
      ".reg .pred %p<9>;\n.reg .b16 %rs<9>;\n.reg .b32 %r<40>;\n.reg .f32 %f<40>;\n"
      ".reg .b64 %rd<9>;\n.reg .f64 %fd<9>;\n\n"
      "ld.param.u64 \t%rd1, [param];\nmov.u32 %r1, %tid.x;\nmul.wide.u32 %rd2, %r1, 4;\n"
      "add.s64 %rd2, %rd1, %rd2;\n" +
      body + "ret;\n\n}\n";
  Program program(text);
  const Code code = decode(program.kernel("test"));
  simt::Launch launch;
  launch.block.x = n_threads;
  const auto address = reinterpret_cast<uint64_t>(words.data());
  simt::add_region(words.data(), words.size() * sizeof(uint32_t));
  try {
    GlobalMemory memory;
    Block block(code, launch, std::as_bytes(std::span(&address, 1)), memory, {0, 0, 0});
    run_block(block);
  } catch (...) {
    simt::remove_region(words.data());
    throw;
  }
  simt::remove_region(words.data());
}

// What one thread stores of %r2.
uint32_t result(const std::string& body) {
  Words words(1);
  run_body(body + "st.global.u32 [%rd2], %r2;\n", words, 1);
  return words[0];
}
float float_result(const std::string& body) {
  return std::bit_cast<float>(result(body + "mov.b32 %r2, %f2;\n"));
}

// Each thread's %r2.
Words results(const std::string& body, unsigned n_threads = 32) {
  Words words(n_threads);
  run_body(body + "st.global.u32 [%rd2], %r2;\n", words, n_threads);
  return words;
}

// Why a body fails; empty where it does not.
std::string fault(const std::string& body, unsigned n_threads = 32) {
  Words words(128);
  try {
    run_body(body, words, n_threads);
  } catch (const Fault& error) {
    return error.what();
  }
  return {};
}

Catch::Matchers::StdString::ContainsMatcher says(const std::string& words) {
  return Catch::Matchers::Contains(words);
}

}  // namespace

TEST_CASE("ptx: integers", "[ptx]") {
  CHECK(result("add.s32 %r2, 2147483647, 1;\n") == 0x80000000u);
  CHECK(result("mul.hi.s32 %r2, -2, 1073741824;\n") == 0xffffffffu);
  CHECK(result("shr.s32 %r2, -8, 1;\n") == 0xfffffffcu);
  CHECK(result("shr.s32 %r2, -8, 40;\n") == 0xffffffffu);
  CHECK(result("shr.u32 %r2, -8, 32;\n") == 0);
  CHECK(result("shl.b32 %r2, 1, 32;\n") == 0);
  CHECK(result("div.s32 %r2, -7, 2;\n") == static_cast<uint32_t>(-3));
  CHECK(result("rem.s32 %r2, -7, 2;\n") == static_cast<uint32_t>(-1));
  CHECK(result("bfi.b32 %r2, 255, 305419896, 8, 4;\n") == 0x12345f78u);
  CHECK(result("mov.b32 {%rs1, %rs2}, 305419896;\nmov.b32 %r2, {%rs2, %rs1};\n") == 0x56781234u);
  CHECK(result("{ .reg .b16 tmp; mov.b32 {tmp, %rs1}, 305419896; }\ncvt.u32.u16 %r2, %rs1;\n") ==
        0x1234u);
  CHECK(result("bfe.u32 %r2, 305419896, 8, 12;\n") == 0x456u);
  CHECK(result("shf.l.wrap.b32 %r2, -2147483648, 5, 1;\n") == 11);
  CHECK(result("mul.hi.u32 %r2, -1, -1;\n") == 0xfffffffeu);
  CHECK(result("prmt.b32 %r2, 50462976, 117835012, 29984;\n") == 0x07050200u);  // nibbles 7 5 2 0
  CHECK(result("mov.u32 %r3, 32768;\nprmt.b32 %r2, %r3, 0, 153;\n") == 0x0000ffffu);  // signs
  CHECK(result("mul.wide.s32 %rd3, -3, 5;\nshr.u64 %rd3, %rd3, 32;\ncvt.u32.u64 %r2, %rd3;\n") ==
        0xffffffffu);
  CHECK(result("cvt.u16.u32 %rs1, 66000;\ncvt.u32.u16 %r2, %rs1;\n") == 66000u - 65536u);
  CHECK(result("cvt.u16.u32 %rs1, 200;\ncvt.s16.s8 %rs2, %rs1;\ncvt.u32.u16 %r2, %rs2;\n") ==
        0xffc8u);
}

TEST_CASE("ptx: floats", "[ptx]") {
  const std::string one = "0f3F800000", nan = "0f7FC00000", half = "0f3F000000";
  CHECK(float_result("max.f32 %f2, " + nan + ", " + one + ";\n") == 1.0f);
  CHECK(float_result("cvt.sat.f32.f32 %f2, " + nan + ";\n") == 0.0f);
  CHECK(result("cvt.rni.s32.f32 %r2, " + half + ";\n") == 0);          // to even
  CHECK(result("cvt.rni.s32.f32 %r2, 0f3FC00000;\n") == 2);            // 1.5
  CHECK(result("cvt.rzi.s32.f32 %r2, 0fBFE00000;\n") == 0xffffffffu);  // -1.75
  CHECK(result("cvt.rni.s32.f32 %r2, 0f7F800000;\n") == 0x7fffffffu);  // infinity
  CHECK(result("cvt.rni.s32.f32 %r2, " + nan + ";\n") == 0);
  // 1 + 2^-24 is halfway: down to 1, and up for what lies above it.
  CHECK(float_result("fma.rn.f32 %f2, " + one + ", " + one + ", 0f33800000;\n") == 1.0f);
  CHECK(float_result("fma.rm.f32 %f2, " + one + ", " + one + ", 0fB3000000;\n") ==
        std::nextafter(1.0f, 0.0f));
  CHECK(float_result("ex2.approx.ftz.f32 %f2, 0fC3020000;\n") == 0.0f);  // 2^-130
  CHECK(result("cvt.rn.bf16x2.f32 %r2, " + one + ", 0f40000000;\n") == 0x3f804000u);
  CHECK(float_result("cvt.u16.u32 %rs1, 15360;\ncvt.f32.f16 %f2, %rs1;\n") == 1.0f);
  CHECK(result("setp.ne.f32 %p1, " + nan + ", " + one + ";\nselp.b32 %r2, 7, 8, %p1;\n") == 8);
  CHECK(result("setp.neu.f32 %p1, " + nan + ", " + one + ";\nselp.b32 %r2, 7, 8, %p1;\n") == 7);
  CHECK(result("setp.leu.f32 %p1, " + nan + ", " + one + ";\nselp.b32 %r2, 7, 8, %p1;\n") == 7);
}

TEST_CASE("ptx: lanes part at branches and meet again", "[ptx]") {
  // Even lanes go round a loop as often as their number says; then all meet.
  const Words sums = results(
      "mov.u32 %r2, 0;\nand.b32 %r3, %r1, 1;\nsetp.eq.s32 %p1, %r3, 1;\n@%p1 bra $odd;\n"
      "mov.u32 %r4, %r1;\n$loop:\nadd.s32 %r2, %r2, 3;\nadd.s32 %r4, %r4, -1;\n"
      "setp.gt.s32 %p2, %r4, 0;\n@%p2 bra $loop;\nbra.uni $end;\n"
      "$odd:\nmov.u32 %r2, 1000;\n"
      "$end:\nshfl.sync.bfly.b32 %r5|%p3, %r2, 1, 31, -1;\nadd.s32 %r2, %r2, %r5;\n");
  for (uint32_t lane = 0; lane < 32; ++lane) {
    CHECK(sums[lane] == 1000 + 3 * std::max(lane / 2 * 2, 1u));
  }
}

TEST_CASE("ptx: shuffles and votes", "[ptx]") {
  const Words third = results("shfl.sync.idx.b32 %r2|%p1, %r1, 3, 31, -1;\n");
  CHECK(third == Words(32, 3));
  // In segments of eight lanes.
  const Words first = results("shfl.sync.idx.b32 %r2|%p1, %r1, 0, 6175, -1;\n");
  for (uint32_t lane = 0; lane < 32; ++lane) CHECK(first[lane] == lane / 8 * 8);
  const Words any = results(
      "setp.eq.s32 %p1, %r1, 9;\nvote.sync.any.pred %p2, %p1, -1;\nselp.b32 %r2, 5, 6, %p2;\n");
  CHECK(any == Words(32, 5));
}

TEST_CASE("ptx: products by fragments", "[ptx]") {
  const auto a_at = [](int row, int k) { return (row * 7 + k * 3) % 11 - 5; };
  const auto b_at = [](int k, int column) { return (k * 5 + column * 2) % 13 - 6; };
  for (const bool s8 : {false, true}) {
    const int per = s8 ? 4 : 2;
    const auto pack = [&](auto entry) {
      uint32_t word = 0;
      for (int j = 0; j < per; ++j) {
        word |= s8 ? static_cast<uint32_t>(static_cast<uint8_t>(entry(j))) << 8 * j
                   : uint32_t{quant::float_to_bf16(static_cast<float>(entry(j)))} << 16 * j;
      }
      return word;
    };
    // A lane's registers in rows of 32 words: 4 of A, 2 of B, then 4 of D.
    Words words(32 * 10);
    for (int lane = 0; lane < 32; ++lane) {
      const int g = lane / 4, t = lane % 4;
      for (int part = 0; part < 4; ++part) {
        const int k = (part / 2 * 4 + t) * per;
        words[part * 32 + lane] = pack([&](int j) { return a_at(g + part % 2 * 8, k + j); });
        words[(4 + part / 2) * 32 + lane] = pack([&](int j) { return b_at(k + j, g); });
      }
    }
    std::string body;
    for (int i = 0; i < 6; ++i) {
      body += "ld.global.u32 %r" + std::to_string(10 + i) + ", [%rd2+" + std::to_string(128 * i) +
              "];\n";
    }
    const std::string fragments = "{%r10, %r11, %r12, %r13}, {%r14, %r15}, ";
    body += s8 ? "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%r20, %r21, %r22, %r23}, " +
                     fragments + "{1, 1, 1, 1};\n"
               : "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f20, %f21, %f22, %f23}, " +
                     fragments + "{0f3F800000, 0f3F800000, 0f3F800000, 0f3F800000};\n";
    for (int i = 0; i < 4; ++i) {
      const std::string d = std::to_string(20 + i);
      if (!s8) body += "cvt.rni.s32.f32 %r" + d + ", %f" + d + ";\n";
      body += "st.global.u32 [%rd2+" + std::to_string(128 * (6 + i)) + "], %r" + d + ";\n";
    }
    run_body(body, words);
    for (int lane = 0; lane < 32; ++lane) {
      for (int i = 0; i < 4; ++i) {
        int expected = 1;
        for (int k = 0; k < 8 * per; ++k) {
          expected += a_at(lane / 4 + i / 2 * 8, k) * b_at(k, lane % 4 * 2 + i % 2);
        }
        CHECK(static_cast<int>(words[(6 + i) * 32 + lane]) == expected);
      }
    }
  }
}

TEST_CASE("ptx: a matrix is transposed", "[ptx]") {
  // Entry e of the row-major matrix is e: lane l has 2l and 2l + 1.
  const Words columns = results(
      "shl.b32 %r3, %r1, 1;\nadd.s32 %r4, %r3, 1;\nbfi.b32 %r5, %r4, %r3, 16, 16;\n"
      "movmatrix.sync.aligned.m8n8.trans.b16 %r2, %r5;\n");
  for (uint32_t lane = 0; lane < 32; ++lane) {
    const uint32_t low = 16 * (lane % 4) + lane / 4;
    CHECK(columns[lane] == (low | (low + 8) << 16));
  }
}

TEST_CASE("ptx: memory has bounds, and words their places", "[ptx]") {
  CHECK(fault("ld.global.u32 %r2, [%rd1+508];\n").empty());
  CHECK_THAT(fault("ld.global.u32 %r2, [%rd1+512];\n"), says("not in one of the device's regions"));
  CHECK_THAT(fault("ld.global.v2.u32 {%r2, %r3}, [%rd1+508];\n"), says("misaligned"));
  CHECK_THAT(fault("st.global.u32 [%rd1+-4], %r1;\n"), says("not in one of the device's regions"));
  CHECK_THAT(fault("ld.param.u64 %rd3, [param+8];\n"), says("out of the parameter"));
  CHECK_THAT(fault("mov.u32 %r2, shared;\nst.shared.u32 [%r2+512], %r1;\n"),
             says("out of the block's shared memory"));
  CHECK_THAT(fault("mov.u64 %rd3, depot;\nst.local.u32 [%rd3+8], %r1;\n"),
             says("out of the thread's local memory"));
  CHECK(result("mov.u64 %rd3, depot;\nst.local.u32 [%rd3+4], 77;\nld.local.u8 %r2, [%rd3+4];\n") ==
        77);
}

TEST_CASE("ptx: shared memory without a barrier is a fault", "[ptx]") {
  const std::string own = "shl.b32 %r3, %r1, 2;\nmov.u32 %r4, shared;\nadd.s32 %r3, %r3, %r4;\n";
  const std::string write = own + "st.shared.u32 [%r3], %r1;\n";
  const std::string across = "xor.b32 %r5, %r3, 64;\n";   // a lane of the same warp
  const std::string beyond = "xor.b32 %r5, %r3, 128;\n";  // one of another
  const std::string read = "ld.shared.u32 %r2, [%r5];\n";
  const std::string warp_barrier = "bar.warp.sync -1;\n", barrier = "bar.sync 0;\n";
  CHECK_THAT(fault(own + "ld.shared.u32 %r2, [%r3];\n"), says("nobody wrote"));
  CHECK(fault(write + "ld.shared.u32 %r2, [%r3];\n").empty());
  CHECK_THAT(fault(write + across + read), says("no barrier"));
  CHECK(fault(write + across + warp_barrier + read).empty());
  CHECK_THAT(fault(write + beyond + warp_barrier + read, 64), says("nobody wrote"));
  CHECK(fault(write + beyond + barrier + read, 64).empty());
  // The first warp reads what the second one writes.
  const std::string second =
      "setp.lt.s32 %p1, %r1, 32;\n@%p1 bra $end;\nst.shared.u32 [%r3], %r1;\n$end:\n";
  CHECK_THAT(fault(write + beyond + barrier + read + second, 64), says("no barrier"));
  CHECK(fault(write + beyond + barrier + read + barrier + second, 64).empty());
  CHECK_THAT(fault(own + "st.shared.u32 [%r4], %r1;\n"), says("another thread's"));
}

TEST_CASE("ptx: additions to shared memory need no barrier among themselves", "[ptx]") {
  const std::string begin =
      "mov.u32 %r4, shared;\nsetp.ne.s32 %p1, %r1, 0;\n@%p1 bra $L1;\n"
      "mov.u32 %r5, 40;\nst.shared.u32 [%r4], %r5;\n$L1:\n";
  const std::string add = "atom.shared.add.u32 %r3, [%r4], 2;\n";
  const std::string end = "ld.shared.u32 %r2, [%r4];\n";
  const std::string barrier = "bar.sync 0;\n";
  const Words sums = results(begin + barrier + add + barrier + end, 64);
  CHECK(sums == Words(64, 40 + 2 * 64));
  CHECK_THAT(fault(begin + add, 64), says("no barrier between this write and another thread's"));
  CHECK_THAT(fault(begin + barrier + add + end, 64),
             says("no barrier between this read and another thread's write"));
  CHECK_THAT(fault("mov.u32 %r4, shared;\n" + add), says("shared memory that nobody wrote"));
}

TEST_CASE("ptx: what a launch writes is its writer's until a barrier", "[ptx]") {
  const std::string write = "st.global.u32 [%rd2], %r1;\n", read = "ld.global.u32 %r2, [%rd3];\n";
  const std::string next = "xor.b64 %rd3, %rd2, 4;\n";
  CHECK(fault(write + "ld.global.u32 %r2, [%rd2];\n").empty());
  CHECK_THAT(fault(write + next + read), says("another thread of the same launch"));
  CHECK(fault(write + next + "bar.warp.sync -1;\n" + read).empty());
  CHECK_THAT(fault(write + next + "bar.warp.sync -1;\nld.global.nc.u32 %r2, [%rd3];\n"),
             says("read as constant"));
  CHECK_THAT(fault("st.global.u32 [%rd1], %r1;\n"), says("with another value"));
  CHECK(fault("st.global.u32 [%rd1], 1;\n").empty());
}

TEST_CASE("ptx: lanes that do not come are a fault", "[ptx]") {
  const std::string few = "setp.gt.s32 %p1, %r1, 3;\n@%p1 bra $end;\n";
  CHECK_THAT(fault(few + "bar.warp.sync -1;\n$end:\n"), says("do not come"));
  CHECK_THAT(fault(few + "bar.sync 0;\n$end:\n"), says("do not come"));
  CHECK(fault(few + "bar.warp.sync 15;\n$end:\n").empty());
  CHECK_THAT(fault(few + "bar.warp.sync 14;\n$end:\n"), says("outside its own mask"));
  CHECK_THAT(fault(few + "shfl.sync.bfly.b32 %r2|%p2, %r1, 8, 31, 15;\n$end:\n"), says("absent"));
  CHECK_THAT(fault("setp.gt.s32 %p1, %r1, 31;\n@%p1 bra $end;\nbar.sync 0;\n$end:\n", 64),
             says("a barrier that not all come to"));
  CHECK_THAT(fault("$loop:\nbra.uni $loop;\n"), says("does not end"));
}

TEST_CASE("ptx: what is not understood is a fault", "[ptx]") {
  CHECK_THAT(fault("add.sat.s32 %r2, %r1, 1;\n"), says("an unknown instruction"));
  CHECK_THAT(fault("add.s32 %rd3, %r1, 1;\n"), says("an operand of another size"));
  CHECK_THAT(fault("add.s32 %r2, %r1;\n"), says("number of operands"));
  CHECK_THAT(fault("add.s32 %r2, %x1, 1;\n"), says("no such register"));
  CHECK_THAT(fault("add.s32 %r2, nowhere, 1;\n"), says("no operand"));
  CHECK_THAT(fault("bra $nowhere;\n"), says("no such label"));
  CHECK_THAT(fault("@%p1 mov.u32 %r2, 1;\n"), says("a guard"));
  CHECK_THAT(fault(".unknown;\n"), says("not understood"));
}

}  // namespace tq::kernels::ptx
