"""The main job on a sample file."""

from __future__ import annotations

import json
import random
import string
import tempfile
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.domain.uploads import Upload
from partner_vouchers.errors import FileAlreadyUploaded, InvalidInput
from partner_vouchers.messages import MessageTemplate
from partner_vouchers.vouchers import PartnerVouchers, utc_now

_CAMPAIGN = "CMP123456"
_CODE_ALPHABET = string.ascii_uppercase + string.digits
_DATABASE = "vouchers.db"
_CODE_FILE = "codes.csv"
_UPLOADER = "ops@example.com"
_USERS = {"user-1": "Asha", "user-2": "Ravi", "user-3": "Meera"}

_MESSAGE = "Hi {{ Profile.name | default: 'there' }}, {{ Event.partner }} gives you {{ Event.voucherCode }}"


def run_demo(directory: Path | None, rows: int, *, keep: bool) -> None:
    """Upload a sample file with some faults, give codes to three users, and show what comes of it."""
    for name in (_CODE_FILE, _DATABASE):
        if directory is not None and (directory / name).exists():
            raise InvalidInput(field="directory", reason=f"{directory / name} exists; name another directory")
    if directory is None and not keep:
        with tempfile.TemporaryDirectory(prefix="partner-vouchers-") as temporary:
            _demo_in(Path(temporary), rows)
        print("\nThe files of this demo were removed; with --keep they stay.")
        return
    if directory is None:
        directory = Path(tempfile.mkdtemp(prefix="partner-vouchers-"))
    directory.mkdir(parents=True, exist_ok=True)
    _demo_in(directory, rows)
    print(f"\nThe files {_CODE_FILE} and {_DATABASE} are in {directory}")


def _demo_in(directory: Path, rows: int) -> None:
    code_file = directory / _CODE_FILE
    _write_sample(code_file, rows)
    with closing(SQLiteStorage(directory / _DATABASE)) as storage:
        _show_main_job(PartnerVouchers(storage), code_file)


def _write_sample(path: Path, rows: int) -> None:
    """Write random codes of 12 characters, the same at each run, with a handful of each fault among them."""
    # Fixed, so that two runs can be compared; codes that are worth money need `secrets`.
    chance = random.Random(20240219)
    codes = ["".join(chance.choices(_CODE_ALPHABET, k=12)) for _ in range(rows)]
    faulty = sorted(chance.sample(range(rows // 2, rows - 1), k=15))
    for number, row in enumerate(faulty):
        code = codes[row]
        codes[row] = (
            codes[number],  # stands in the first half already
            "",
            f"{code[:6]} {code[6:]}",
            code * 11,
            f"{code[:6]}\u200b{code[6:]}",
        )[number % 5]
    path.write_text("\n".join(["voucher_code", *codes]) + "\n", encoding="utf-8", newline="\n")


def _show_main_job(vouchers: PartnerVouchers, code_file: Path) -> None:
    partner = vouchers.partners.add("Puma")
    print(f"Partner: {partner.name}")

    expires_at = (utc_now() + timedelta(days=90)).replace(hour=23, minute=59, second=59, microsecond=0)
    winter = vouchers.lists.create(
        partner=partner.name,
        tag="Winter_Sale_500",
        name="Winter Sale",
        description="₹500 off on orders above ₹2000",
        expires_at=expires_at,
    )
    expiry = f"{winter.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    print(f"List: id {winter.id}, tag {winter.tag}, {winter.status}, expires {expiry}")

    print(f"\nUploading {code_file.name} ({code_file.stat().st_size:,} bytes) ...")
    started = time.perf_counter()
    upload = vouchers.uploads.add(winter.id, code_file, uploaded_by=_UPLOADER)
    _show_upload(vouchers, upload, time.perf_counter() - started)

    vouchers.campaigns.link(winter.id, _CAMPAIGN)
    print(f"\nLinked to campaign {_CAMPAIGN}.")
    for number, user_id in enumerate(_USERS, start=1):
        reward = vouchers.codes.assign(
            campaign_id=_CAMPAIGN, user_id=user_id, idempotency_key=f"order-{number}"
        )
        print(f"  {user_id} gets {reward.code} (replayed: {reward.replayed})")
    print(f"{user_id} earns it once more, and keeps the same code:")
    reward = vouchers.codes.assign(campaign_id=_CAMPAIGN, user_id=user_id, idempotency_key="order-99")
    print(f"  {user_id} gets {reward.code} (replayed: {reward.replayed})")

    print(f"\nThe event {reward.event.event_name!r}:")
    print(json.dumps(reward.event.properties(), ensure_ascii=False, indent=2))
    message = MessageTemplate(_MESSAGE).render(event=reward.event, profile={"name": _USERS[user_id]})
    print(f"\nThe message: {message}")

    stock = vouchers.lists.get(winter.id)
    print(f"\nStock: {stock.uploaded} uploaded, {stock.distributed} distributed, {stock.available} available")

    print(f"\nUploading {code_file.name} again, which is a mistake:")
    try:
        vouchers.uploads.add(winter.id, code_file, uploaded_by=_UPLOADER)
    except FileAlreadyUploaded as refusal:
        print(f"  {refusal.code}: {refusal}")


def _show_upload(vouchers: PartnerVouchers, upload: Upload, seconds: float) -> None:
    print(
        f"{upload.status}: {upload.accepted} of {upload.total} codes accepted, "
        f"{upload.error_count} errors, {seconds:.2f} seconds"
    )
    for kind, count in upload.errors.items():
        print(f"  {kind}: {count}")
    print("The first errors:")
    for fault in vouchers.uploads.errors(upload.id, limit=5):
        print(f"  line {fault.line}: {fault.kind}: {fault.message}")
