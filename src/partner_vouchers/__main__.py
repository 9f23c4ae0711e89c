"""`python -m partner_vouchers`: the same as the command `partner-vouchers`."""

import sys

from partner_vouchers.cli import main

if __name__ == "__main__":
    sys.exit(main())
