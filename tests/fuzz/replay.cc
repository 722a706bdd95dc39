// Goal: a fuzzer's target runs without libFuzzer, too: in every build with fixed inputs, so that it keeps
// compiling and does not fail at once, and under a debugger with the file of a crash: `NAME_fuzz FILE...`.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

void run(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

/// Lines of printable bytes, or any bytes: what protocols and what binary formats look like from far away.
std::string made_input(std::mt19937& random) {
  std::string out(random() % 512, '\0');
  const bool text = random() % 2 == 0;
  for (char& c : out) {
    const auto roll = random();
    if (!text) {
      c = static_cast<char>(roll & 0xff);
    } else {
      c = roll % 32 == 0 ? '\n' : static_cast<char>(' ' + roll % 95);
    }
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    if (!file) {
      std::fprintf(stderr, "cannot read %s\n", argv[i]);
      return 2;
    }
    run({std::istreambuf_iterator<char>(file), {}});
  }
  if (argc > 1) return 0;
  run({});
  std::mt19937 random(1);  // NOLINT(cert-msc51-cpp): the same inputs each time
  for (int i = 0; i < 1000; ++i) run(made_input(random));
  return 0;
}
