#!/bin/bash -eu
# SPDX-License-Identifier: MIT
# What OSS-Fuzz and ClusterFuzzLite run inside their image, with CC, CFLAGS, LIB_FUZZING_ENGINE, SRC,
# WORK and OUT set; also runs anywhere else where these are. Programs must not need libraries that the
# runner lacks, so everything is linked statically; the other back ends are left out, as their versions differ.
cd "$(dirname "$0")"
[ -e fuzz/CMakeLists.txt ] || cd "${GOIPC_SOURCE:-$SRC/goipc}"
libraries=$(dirname "$("$CC" -print-file-name=libtomcrypt.a)")
cmake -S . -B "$WORK/build" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DGOIPC_OPENSSL=OFF -DGOIPC_NETTLE=OFF \
    -DGOIPC_IPSEC_MB=OFF -DGOIPC_WERROR=OFF \
    -DCMAKE_C_COMPILER="$CC" -DCMAKE_C_FLAGS="$CFLAGS" -DGOIPC_FUZZ_ENGINE="$LIB_FUZZING_ENGINE" \
    -DGOIPC_TOMCRYPT_LIBRARY="$libraries/libtomcrypt.a" \
    -DGOIPC_TOMMATH_LIBRARY="$libraries/libtommath.a;$libraries/libgmp.a"
for source in fuzz/fuzz_*.c; do
    target=$(basename "$source" .c)
    name=${target#fuzz_}
    [ "$name" != negative ] || continue
    cmake --build "$WORK/build" --target "$target"
    cp "$WORK/build/fuzz/$target" "$OUT/"
    cp fuzz/goipc.dict "$OUT/$target.dict"
    (cd "fuzz/corpus/$name" && zip -q -r - .) >"$OUT/${target}_seed_corpus.zip"
done
