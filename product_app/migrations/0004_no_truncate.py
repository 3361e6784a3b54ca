"""The ledger of stock adjustments can't be emptied either: TRUNCATE fires no trigger of UPDATE or DELETE."""

from django.db import migrations

REFUSE = """
CREATE TRIGGER product_app_stockadjustment_no_truncate BEFORE TRUNCATE ON product_app_stockadjustment
   FOR EACH STATEMENT EXECUTE FUNCTION product_app_refuse_rewriting()
"""
ALLOW = "DROP TRIGGER product_app_stockadjustment_no_truncate ON product_app_stockadjustment"


class Migration(migrations.Migration):
    dependencies = [("product_app", "0003_currencies_of_iso_4217")]
    operations = [migrations.RunSQL(REFUSE, ALLOW)]
