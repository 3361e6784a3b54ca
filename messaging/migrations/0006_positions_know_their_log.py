from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('messaging', '0005_parked_marks'),
    ]

    operations = [
        migrations.AddField(
            model_name='consumerposition',
            name='topic_id',
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name='consumerposition',
            name='leader_epoch',
            field=models.IntegerField(null=True),
        ),
        migrations.AddField(
            model_name='consumerposition',
            name='epoch_offset',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='consumerposition',
            name='outside_at',
            field=models.BigIntegerField(null=True),
        ),
    ]
