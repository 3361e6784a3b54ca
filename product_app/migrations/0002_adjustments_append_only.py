"""The ledger of stock adjustments can't be rewritten, not even by SQL."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION product_app_refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'stock adjustments are never changed or deleted; add one that corrects it'
          USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER product_app_stockadjustment_append_only BEFORE UPDATE OR DELETE ON product_app_stockadjustment
   FOR EACH ROW EXECUTE FUNCTION product_app_refuse_rewriting();
"""
BACKWARD = """
DROP TRIGGER product_app_stockadjustment_append_only ON product_app_stockadjustment;
DROP FUNCTION product_app_refuse_rewriting();
"""


class Migration(migrations.Migration):
    dependencies = [("product_app", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
