"""Bills the real file into a store and proves its books; run as a process of its own, which is not measured.

python bill_telco.py DATABASE FILE
"""

import json
import sys
from pathlib import Path

from billcore.demo.book import ENDS, import_book, open_demo

with open_demo(f"sqlite:///{sys.argv[1]}") as billing:
    report = import_book(billing, Path(sys.argv[2]), declines=False)
    billing.run(ENDS)
    proof = billing.verify()
told = {
    "customers": report.customers,
    "subscriptions": report.subscriptions,
    "rejected": report.rejected,
    "ok": proof.ok,
    "findings": [str(finding) for finding in proof.findings],
}
print(json.dumps(told))  # noqa: T201 - the answer to the test
