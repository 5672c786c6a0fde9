# SPDX-License-Identifier: MIT
# What can be said of the sources without running them: `./dev lint`.
check(lint.text SETS quick EXPECT "the hooks of .pre-commit-config.yaml find nothing" COUNTS hooks NEEDS ./.git
    COMMAND pre-commit run --all-files --color never)
check(lint.types SETS quick EXPECT "mypy --strict finds nothing in the suite" COUNTS exit NEEDS mypy
    COMMAND mypy --no-error-summary)
check(lint.clang-tidy SETS default EXPECT "clang-tidy makes no finding in any C file, on all paths in the library"
    NEEDS clang clang-tidy BUILDS sanitize COST 90 TIMEOUT 1800 COMMAND ${python} tools/analyse.py clang-tidy sanitize)
check(lint.cppcheck SETS default EXPECT "cppcheck makes no finding" NEEDS cppcheck BUILDS release COST 40
    COMMAND ${python} tools/analyse.py cppcheck release)
check(lint.gcc-analyzer SETS default EXPECT "gcc -fanalyzer makes no finding" NEEDS gcc BUILDS release COST 60
    TIMEOUT 1200 COMMAND ${python} tools/analyse.py gcc release)
check(lint.clang-analyzer EXPECT "clang's analyser makes no finding on any path of any C file"
    NEEDS clang clang-tidy BUILDS sanitize COST 600 TIMEOUT 1800
    COMMAND ${python} tools/analyse.py clang-analyzer sanitize)
