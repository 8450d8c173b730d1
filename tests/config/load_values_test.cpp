#include "config/load_values.h"

#include <catch2/catch.hpp>

using namespace tq;
using namespace tq::load;

TEST_CASE("whole numbers are parsed whole and in range") {
  REQUIRE(*parse_int("0", {0, 10}) == 0);
  REQUIRE(*parse_int("-1", {-1, 10}) == -1);
  for (const char* text : {"", " 1", "1 ", "1.0", "1e3", "0x10", "ten", "+1", "--1"}) {
    INFO(text);
    REQUIRE_FALSE(parse_int(text, {0, 100}).ok());
  }
  REQUIRE(parse_int("11", {0, 10}).error().message.find("0 to 10") != std::string::npos);
  REQUIRE_FALSE(parse_int("99999999999999999999", {0, 10}).ok());
}

TEST_CASE("sizes take binary and decimal units, and are written back exactly") {
  REQUIRE(*parse_bytes("2GiB") == 2ull << 30);
  REQUIRE(*parse_bytes("1.5 gib") == 3ull << 29);
  REQUIRE(*parse_bytes("10MB") == 10'000'000);
  REQUIRE(*parse_bytes("123") == 123);
  REQUIRE(*parse_bytes("auto") == 0);
  for (const char* text : {"", "GiB", "-1", "1XiB", "1GiBs", "nan", "inf", "1e30"}) {
    INFO(text);
    REQUIRE_FALSE(parse_bytes(text).ok());
  }
  for (const uint64_t bytes : {0ull, 1ull, 1023ull, 1024ull, 3ull << 20, 5ull << 30, 7ull << 40}) {
    REQUIRE(*parse_bytes(format_bytes(bytes)) == bytes);
  }
}

TEST_CASE("switches and seeds") {
  REQUIRE(*parse_switch("ON"));
  REQUIRE_FALSE(*parse_switch("0"));
  REQUIRE_FALSE(parse_switch("maybe").ok());
  REQUIRE(*parse_fraction("0.85") == 0.85);
  REQUIRE(*parse_fraction("1") == 1.0);
  REQUIRE(format_fraction(0.9) == "0.9");
  for (const double fraction : {0.0001, 1.0 / 3.0, 5e-324}) {
    REQUIRE(*parse_fraction(format_fraction(fraction)) == fraction);
  }
  for (const char* wrong : {"0", "-0.5", "1.5", "", "0.5x", "1e", "inf", "nan"}) {
    INFO(wrong);
    REQUIRE_FALSE(parse_fraction(wrong).ok());
  }
  REQUIRE(*parse_seed("0x5eed") == 0x5eed);
  REQUIRE(*parse_seed("18446744073709551615") == UINT64_MAX);
  REQUIRE_FALSE(parse_seed("18446744073709551616").ok());
  REQUIRE_FALSE(parse_seed("-1").ok());
  REQUIRE_FALSE(parse_seed("0x").ok());
}
