"""Faults for run.py: (what it is, end of a kernel's mangled name, pattern, text instead, which
match, the test case that should see it). Patterns know no register's number: those are nvcc's."""

APPEND = "every backend appends any rows to the same bytes"
SEAL = "every backend seals any rows to the same bytes"
ODD = "odd lengths, decode and prefill, all groups"  # tq4, 64
WHOLE = "scores of whole queries have no error of their own"
NORM = "device layers: RMSNorm with the residual sum before it"
SWIGLU = "device layers: SwiGLU, also far outside of what floats can exponentiate"
TURN = "device layers: heads are turned by their positions"
EMBED = "device layers: embeddings are looked up"

DECODE = "6attendILi4ELi4ELi64ELi8E"
WHOLE_DECODE = "6attendILi4ELi16ELi64ELi8E"
PREFILL = "11attend_rowsILi64E"
APPEND_KERNEL = "13append_kernelILi64E"
SEAL_KERNEL = "11seal_kernel"
NORM_KERNEL = "11norm_kernelILNS0_11ElementTypeE0ELi1E"
HEADS_KERNEL = "12heads_kernelILNS0_11ElementTypeE0ELi64E"
EMBED_KERNEL = "12embed_kernelILNS0_11ElementTypeE0E"
SWIGLU_KERNEL = "13swiglu_kernelILNS0_11ElementTypeE0E"

REGISTERS = r"(\{[^}]*\})"
FOUR = r"\{(%\w+), (%\w+), (%\w+), (%\w+)\}"
TWO = r"\{(%\w+), (%\w+)\}"
S8 = r"^(mma\.\S*\.s8\.s8\.s32) " + REGISTERS + ", "
BF16 = r"^(mma\.\S*\.bf16\.bf16\.f32) " + REGISTERS + ", "

FAULTS = [
    # Fragments.
    ("two registers of A in int8 are swapped", WHOLE_DECODE, S8 + FOUR,
     r"\1 \2, {\3, \5, \4, \6}", 0, WHOLE),
    ("two registers of B in int8 are swapped", DECODE, S8 + REGISTERS + ", " + TWO,
     r"\1 \2, \3, {\5, \4}", 0, ODD),
    ("two registers of A in bf16 are swapped", PREFILL, BF16 + FOUR, r"\1 \2, {\3, \5, \4, \6}", 0,
     ODD),
    ("two registers of B in bf16 are swapped", PREFILL, BF16 + REGISTERS + ", " + TWO,
     r"\1 \2, \3, {\5, \4}", -1, ODD),
    ("two registers of D are swapped", PREFILL,
     r"^(mma\.\S*\.bf16\.f32) " + FOUR + ",", r"\1 {\2, \4, \3, \5},", 0, ODD),
    ("a matrix is not transposed", DECODE, r"^movmatrix\S*", "mov.b32", 0, ODD),
    ("a pair of bf16 has its halves swapped", DECODE,
     r"^(cvt\.rn\.bf16x2\.f32 %\w+), (%\w+), (%\w+);", r"\1, \3, \2;", -1, ODD),

    # Meetings.
    ("a barrier of prefill is missing", PREFILL, r"^bar\.sync 0;\n", "", 0, ODD),
    ("another barrier of prefill is missing", PREFILL, r"^bar\.sync 0;\n", "", -1, ODD),
    ("a barrier of sealing is missing", SEAL_KERNEL, r"^bar\.sync 0;\n", "", 0, SEAL),
    ("a warp's barrier of sealing is missing", SEAL_KERNEL, r"^bar\.warp\.sync -1;\n", "", 0, SEAL),
    ("a barrier of a norm's sum is missing", NORM_KERNEL, r"^bar\.sync 0;\n", "", 0, NORM),
    ("half of a warp's lanes meet", APPEND_KERNEL, r"^(shfl\S+ [^;]*), %\w+;", r"\1, 65535;", 0,
     APPEND),
    ("a butterfly is a broadcast", APPEND_KERNEL, r"^shfl\.sync\.bfly", "shfl.sync.idx", 0, APPEND),

    # Addresses.
    ("codes are read 16 bytes further on", DECODE, r"^(ld\.global\.nc\S+ \{[^}]*\}, \[%\w+)\]",
     r"\1+16]", 0, ODD),
    ("codes are read 4 bytes further on", DECODE, r"^(ld\.global\.nc\S+ \{[^}]*\}, \[%\w+)\]",
     r"\1+4]", 0, ODD),
    ("codes are read far outside", DECODE, r"^(ld\.global\.nc\S+ \{[^}]*\}, \[%\w+)\]",
     r"\1+268435456]", 0, ODD),
    ("a parameter's field is the next one", EMBED_KERNEL, r"^(ld\.param\.u64 [^;]*\+)8\];",
     r"\g<1>16];", 0, EMBED),
    ("shared memory is read 16 bytes further on", PREFILL,
     r"^(ld\.shared\.\S+ [^;]*\[%\w+)\];", r"\1+16];", 0, ODD),
    ("a row's element is written 2 bytes further on", APPEND_KERNEL,
     r"^(st\.global\.u16 \[%\w+)\]", r"\1+2]", 0, APPEND),
    ("half of a vector is stored", EMBED_KERNEL, r"^st\.global\.v4\.u32 (\[[^]]*\]), " + FOUR,
     r"st.global.v2.u32 \1, {\2, \3}", 0, EMBED),

    # Types, rounding, predicates.
    ("a branch has the wrong sense", APPEND_KERNEL, r"^@%", "@!%", 1, APPEND),
    ("a comparison takes the end too", DECODE, r"^setp\.lt\.s32", "setp.le.s32", -1, ODD),
    ("a row is the grid's other dimension", EMBED_KERNEL, r"%ctaid\.y", "%ctaid.x", 0, EMBED),
    ("a byte is taken from elsewhere", DECODE, r"^(prmt\.b32 %\w+), (%\w+), (%\w+)",
     r"\1, \3, \2", 0, ODD),
    ("a selection is the other way round", SEAL_KERNEL, r"^(selp\.\S+ %\w+), (\w+|%\w+), (%\w+),",
     r"\1, \3, \2,", 0, SEAL),
    ("a product is contracted", SEAL_KERNEL,
     r"^mul\.(?:rn\.)?f32 (%\w+), (%\w+), (%\w+);", r"fma.rn.f32 \1, \2, \3, \2;", 0, SEAL),
    ("an instruction that is not known", EMBED_KERNEL, r"^mad\.lo\.s32", "mad24.lo.s32", 0, EMBED),
    ("whole turns of an angle are not taken off", HEADS_KERNEL,
     r"^cvt\.rni\.f64\.f64 (%\w+), (%\w+);", r"sub.f64 \1, \2, \2;", 0, TURN),
    ("an exponential is not", SWIGLU_KERNEL, r"^ex2\.approx\.ftz\.f32", "mov.f32", 0, SWIGLU),
]
