"""A made-up book of business with the columns of the telephone company's file; the same one every time."""

import csv
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

from billcore.domain.money import format_minor

ROWS = 300
MOST_MONTHS = 72
COLUMNS = (
    "customerID",
    "gender",
    "SeniorCitizen",
    "Partner",
    "Dependents",
    "tenure",
    "PhoneService",
    "MultipleLines",
    "InternetService",
    "OnlineSecurity",
    "OnlineBackup",
    "DeviceProtection",
    "TechSupport",
    "StreamingTV",
    "StreamingMovies",
    "Contract",
    "PaperlessBilling",
    "PaymentMethod",
    "MonthlyCharges",
    "TotalCharges",
    "Churn",
)
EXTRAS = COLUMNS[9:15]
YES_NO = (("Yes", 1), ("No", 1))
# What a month costs, in cents.
PHONE, SECOND_LINE, EXTRA = 1995, 500, 525
INTERNET = {"DSL": 2490, "Fiber optic": 4985, "No": 0}
CONTRACT = {"Month-to-month": 0, "One year": 150, "Two year": 275}


def write_sample(path: Path, rows: int = ROWS) -> None:
    """Write the sample as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(sample_rows(rows))


def sample_rows(rows: int = ROWS) -> Iterator[dict[str, str]]:
    """The customers, column by column."""
    for place in range(rows):
        yield _Draw(place).row()


class _Draw:
    """One customer, drawn from his place in the file."""

    def __init__(self, place: int) -> None:
        self._place = place

    def row(self) -> dict[str, str]:
        phone = self._one("phone", (("Yes", 9), ("No", 1)))
        internet = self._one("internet", (("DSL", 4), ("Fiber optic", 4), ("No", 2))) if phone == "Yes" else "DSL"
        lines = self._one("lines", YES_NO) if phone == "Yes" else "No phone service"
        extras = {name: self._one(name, YES_NO) if internet != "No" else "No internet service" for name in EXTRAS}
        contract = self._one("contract", (("Month-to-month", 5), ("One year", 2), ("Two year", 3)))
        least = {"Month-to-month": 1, "One year": 6, "Two year": 18}[contract]
        # A few have signed but not begun; many are new, some have been there from the beginning.
        tenure = 0
        if self._number("begun", 60):
            tenure = least + self._number("tenure", MOST_MONTHS - least + 1) * (self._number("age", 100) + 40) // 140
        month = INTERNET[internet] + (PHONE if phone == "Yes" else 0) + (SECOND_LINE if lines == "Yes" else 0)
        month += EXTRA * sum(answer == "Yes" for answer in extras.values()) - CONTRACT[contract]
        month += 5 * self._number("cents", 60)
        stays = {"Month-to-month": 3, "One year": 8, "Two year": 30}[contract]
        return {
            "customerID": self._name(),
            "gender": self._one("gender", (("Female", 1), ("Male", 1))),
            "SeniorCitizen": self._one("senior", (("0", 5), ("1", 1))),
            "Partner": self._one("partner", YES_NO),
            "Dependents": self._one("dependents", (("No", 7), ("Yes", 3))),
            "tenure": str(tenure),
            "PhoneService": phone,
            "MultipleLines": lines,
            "InternetService": internet,
            **extras,
            "Contract": contract,
            "PaperlessBilling": self._one("paper", YES_NO),
            "PaymentMethod": self._one(
                "payment",
                (
                    ("Electronic check", 3),
                    ("Mailed check", 2),
                    ("Bank transfer (automatic)", 2),
                    ("Credit card (automatic)", 2),
                ),
            ),
            "MonthlyCharges": format_minor(month, "USD"),
            "TotalCharges": format_minor(month * tenure, "USD") if tenure else " ",
            "Churn": self._one("churn", (("Yes", 1), ("No", stays - 1))) if tenure else "No",
        }

    def _name(self) -> str:
        letters = "".join("ABCDEFGHJKLMNPQRSTUVWXYZ"[self._number(f"letter {i}", 24)] for i in range(4))
        return f"{1000 + self._place}-{letters}"

    def _one(self, purpose: str, choices: Sequence[tuple[str, int]]) -> str:
        """One of the weighted choices."""
        drawn = self._number(purpose, sum(weight for _, weight in choices))
        for choice, weight in choices:
            if drawn < weight:
                return choice
            drawn -= weight
        raise AssertionError(purpose)

    def _number(self, purpose: str, sides: int) -> int:
        digest = blake2b(f"{purpose}:{self._place}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % sides
