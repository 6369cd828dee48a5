"""Who lives in the sample tenant: its id, its domains, its people and the mailbox that reports go to.

Every name is reserved or invented (RFC 2606 domains); nothing here can reach anybody. The originals name the same
people, so an address changed here must change there too.
"""

from typing import Final

TENANT_ID: Final = "3f1c7a52-8d0e-4b96-a4e7-0c5d9b2e6f18"
DOMAINS: Final = ("contoso.example", "fabrikam.example")
REPORTING_MAILBOX: Final = "phish-reports@contoso.example"

ANNA: Final = "anna.berg@contoso.example"
BEN: Final = "ben.okafor@contoso.example"
CARLA: Final = "carla.nunez@contoso.example"
CLAIRE: Final = "claire.moreau@contoso.example"
DAVID: Final = "david.cho@contoso.example"
LAYLA: Final = "layla.haddad@contoso.example"
ELIF: Final = "elif.kaya@fabrikam.example"
FELIX: Final = "felix.hartmann@fabrikam.example"
GRACE: Final = "grace.lin@fabrikam.example"
HARUTO: Final = "haruto.sato@fabrikam.example"

ACCOUNTS: Final = "accounts@fabrikam.example"
PAYROLL: Final = "payroll@fabrikam.example"

PEOPLE: Final = (ANNA, BEN, CARLA, CLAIRE, DAVID, LAYLA, ELIF, FELIX, GRACE, HARUTO)
SHARED_MAILBOXES: Final = (ACCOUNTS, PAYROLL)
CONTROL_MAILBOX: Final = "board@contoso.example"
"""A mailbox that the app must not be able to read, for the doctor to try."""
