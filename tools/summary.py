"""Reads the reports of all suites; prints one line for each, what each part of the run took, and a sum.

Fails if a suite failed or ran nothing."""

import collections
import pathlib
import sys
import xml.etree.ElementTree as xml


def outcomes(report):
    """Each test case of a GoogleTest or CTest report: passed, failed, or skipped and why."""
    for case in xml.parse(report).iter("testcase"):
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.get("status") == "fail":
            yield "failed", case.get("name")
        elif skipped is not None or case.get("result") == "skipped":
            reason = skipped.get("message") or "" if skipped is not None else ""
            if reason.startswith("SKIP_"):  # CTest knows how it was told, and the test's output says why.
                reason = (case.findtext("system-out") or reason).removeprefix("skipped: ")
            yield "skipped", reason.strip().splitlines()[-1] if reason.strip() else "no reason given"
        elif case.get("status") != "notrun":
            yield "passed", ""


def print_times(folder):
    """Prints the seconds of each part, in the order in which they ended, and of all of them."""
    parts = sorted(folder.glob("*.seconds"), key=lambda path: path.stat().st_mtime)
    times = [(path.stem, [float(number) for number in path.read_text().split()[-3:]]) for path in parts]
    times = [(name, elapsed, user + system) for name, (elapsed, user, system) in times]
    print(f"{'part':28}{'elapsed':>10}{'processor':>12}")
    for name, elapsed, processor in times:
        print(f"{name:28}{elapsed:8.0f} s{processor:10.0f} s")
    print(f"{'all parts':28}{'':10}{sum(processor for _, _, processor in times):10.0f} s\n")


def main():
    total = collections.Counter()
    broken = False
    print()
    for where in sorted(pathlib.Path(sys.argv[1]).glob("*.where"), key=lambda path: path.stat().st_mtime):
        name = where.stem
        report = where.with_suffix(".xml")
        status = int(where.with_suffix(".status").read_text())
        cases = list(outcomes(report)) if report.exists() else []
        count = collections.Counter(kind for kind, _ in cases)
        reasons = collections.Counter(why for kind, why in cases if kind == "skipped")
        line = f"{name}: {count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped"
        line += f" on {where.read_text().strip()}"
        if reasons:
            line += " (skipped: " + "; ".join(f"{why}: {many}" for why, many in reasons.items()) + ")"
        if status != 0 and count["failed"] == 0:
            line += f" (ended with status {status})"
        broken = broken or status != 0
        total.update(count)
        print(line)
    print()
    print_times(pathlib.Path(sys.argv[1]))
    print(f"tests: {total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    sys.exit(1 if broken or total["failed"] or not total["passed"] else 0)


if __name__ == "__main__":
    main()
