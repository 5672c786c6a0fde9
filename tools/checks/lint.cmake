# SPDX-License-Identifier: MIT
# What can be said of the sources without running them: `./dev lint`.
check(lint.format SETS quick EXPECT "C, Python and Go are laid out as ./dev format lays them out"
    COMMAND ${python} tools/format.py --check)
check(lint.house SETS quick EXPECT "licence lines, white space, line lengths, links and file modes are right"
    COMMAND ${python} tools/house.py)
check(lint.ban SETS quick EXPECT "no function or construct is used that tools/ban.py forbids, with its reason"
    COMMAND ${python} tools/ban.py)
check(lint.python SETS quick EXPECT "ruff finds nothing" EXIT NEEDS ruff FILES "*.py" COMMAND ruff check --quiet --no-cache)
check(lint.types SETS quick EXPECT "mypy --strict finds nothing in the suite" EXIT NEEDS mypy COMMAND mypy --no-error-summary)
check(lint.shell SETS quick EXPECT "shellcheck finds nothing" EXIT NEEDS shellcheck FILES "*.sh" dev .ci/run
    tools/windows/wine COMMAND shellcheck --severity=warning)
check(lint.spelling SETS quick EXPECT "codespell finds no misspelt word" EXIT NEEDS codespell
    FILES "*.md" "*.c" "*.h" "*.py" "*.go" "*.toml" dev "*.sh" "*.cmake" CMakeLists.txt
    COMMAND codespell --ignore-words-list=ue,te,ot,fo,nd,hel,ba,cas,inout,crate,mis,som,wile,shs,nmae)
check(lint.clang-tidy SETS default EXPECT "clang-tidy makes no finding in any C file, on all paths in the library"
    NEEDS clang clang-tidy BUILDS sanitize COST 90 TIMEOUT 1800 COMMAND ${python} tools/analyse.py clang-tidy sanitize)
check(lint.cppcheck SETS default EXPECT "cppcheck makes no finding" NEEDS cppcheck BUILDS release COST 40
    COMMAND ${python} tools/analyse.py cppcheck release)
check(lint.gcc-analyzer SETS default EXPECT "gcc -fanalyzer makes no finding" NEEDS gcc BUILDS release COST 60
    TIMEOUT 1200 COMMAND ${python} tools/analyse.py gcc release)
check(lint.clang-analyzer EXPECT "clang's analyser makes no finding on any path of any C file"
    NEEDS clang clang-tidy BUILDS sanitize COST 600 TIMEOUT 1800
    COMMAND ${python} tools/analyse.py clang-analyzer sanitize)
