"""The system files of Jetson boards, written into a folder that stands for "/".

Which files there are, and what stands in them, is from public records of such boards: NVIDIA's Jetson Linux Developer
Guides for L4T 32.7.1 (Nano: power monitor, thermal zones) and 36.4 (Orin: INA3221 by hwmon, soctherm_oc), device trees
of the boards (tegra210-p3448-0000-p3449-0000-a00), the jetson_stats project (github.com/rbonghi/jetson_stats, in
jtop/core: which files answer on which release) and reports of users. No board was at hand: the values are made up.
"""

import os

MEMINFO = (
    "MemTotal:       {:>9} kB\nMemFree:          400000 kB\nMemAvailable:    2200000 kB\nSwapTotal:       {:>9} kB\n"
)
# Two of the modes of /etc/nvpmodel.conf (L4T 32.7, /etc/nvpmodel/nvpmodel_t210_jetson-nano.conf), cut to what is read.
NANO_MODES = (
    "# FORMAT:\n< PARAM TYPE=FILE NAME=CPU_ONLINE >\n\n"
    "< POWER_MODEL ID=0 NAME=MAXN >\nCPU_ONLINE CORE_0 1\nGPU_POWER_CONTROL_ENABLE GPU_PWR_CNTL_EN on\n\n"
    "< POWER_MODEL ID=1 NAME=5W >\nCPU_ONLINE CORE_2 0\n\n< PM_CONFIG DEFAULT=0 >\n"
)
ORIN_MODES = "< POWER_MODEL ID=0 NAME=15W >\n\n< POWER_MODEL ID=1 NAME=25W >\n\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n"
STATUS = (
    "Package: nano\nStatus: install ok installed\nVersion: 2.9.3\n\n"
    "Package: nvidia-jetpack\nStatus: install ok installed\nArchitecture: arm64\nVersion: {}\n\n"
    "Package: zip\nVersion: 3.0\n"
)


def write(root, files):
    """Write {path below root: text}. Returns root as a str."""
    for path, text in files.items():
        full = os.path.join(str(root), path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w") as file:
            file.write(str(text))
    return str(root)


def thermal(zones, coolers):
    """sysfs class thermal. zones: (type, millidegrees) pairs; coolers: (type, state) pairs."""
    files = {}
    for kind, value_file, pairs in (("thermal_zone", "temp", zones), ("cooling_device", "cur_state", coolers)):
        for index, (name, value) in enumerate(pairs):
            folder = "sys/class/thermal/{}{}/".format(kind, index)
            files[folder + "type"] = name + "\n"
            files[folder + value_file] = "{}\n".format(value)
    return files


def cpus(kilohertz):
    return {
        "sys/devices/system/cpu/cpu{}/cpufreq/scaling_cur_freq".format(index): "{}\n".format(value)
        for index, value in enumerate(kilohertz)
    }


def gpu(name, hertz, load):
    """load: thousandths."""
    folder = "sys/class/devfreq/{}/".format(name)
    return {folder + "cur_freq": "{}\n".format(hertz), folder + "device/load": "{}\n".format(load)}


def nano(root, release="7.1", package="4.6.1-b110", mode=0, model="NVIDIA Jetson Nano Developer Kit"):
    """A Jetson Nano 4 GB under L4T 32. Returns root as a str."""
    files = {
        "etc/nv_tegra_release": "# R32 (release), REVISION: {}, GCID: 29818004, BOARD: t210ref, EABI: aarch64, "
        "DATE: Sat Feb 19 17:05:08 UTC 2022\n".format(release),
        "etc/nvpmodel.conf": NANO_MODES,
        "var/lib/nvpmodel/status": "pmode:{:04d}".format(mode),
        "var/lib/dpkg/status": STATUS.format(package),
        "proc/device-tree/model": model + "\0",
        "proc/device-tree/compatible": "nvidia,p3449-0000-b00+p3448-0000-b00\0nvidia,jetson-nano\0nvidia,tegra210\0",
        "proc/meminfo": MEMINFO.format(4059216, 2029600),
        "sys/class/devfreq/57000000.gpu/cur_freq": "921600000\n",
        "sys/kernel/debug/clk/override.emc/clk_rate": "1600000000\n",
        "sys/devices/pwm-fan/cur_pwm": "80\n",
        "sys/bus/i2c/devices/7-0045/name": "ina226\n",
    }
    files.update(cpus([1479000] * 4))
    files.update(gpu("57000000.gpu", 921600000, 421))
    files.update(gpu("54080000.vi", 998400000, 0))
    files.update(
        thermal(
            [("AO-therm", 47500), ("CPU-therm", 41500), ("GPU-therm", 39500), ("PLL-therm", 39000)]
            + [("PMIC-Die", 100000), ("thermal-fan-est", 40500)],
            [("cpu-balanced", 0), ("gpu-balanced", 0), ("pwm-fan", 1)],
        )
    )
    for channel, (rail, milliwatt) in enumerate([("POM_5V_IN", 4812), ("POM_5V_GPU", 1203), ("POM_5V_CPU", 998)]):
        # iio_device is the same folder by another name, as on the board
        for folder in ("iio_device", "iio:device0"):
            folder = "sys/bus/i2c/devices/6-0040/{}/".format(folder)
            files[folder + "rail_name_{}".format(channel)] = rail + "\n"
            files[folder + "in_power{}_input".format(channel)] = "{}\n".format(milliwatt)
            files[folder + "in_voltage{}_input".format(channel)] = "4992\n"
            files[folder + "crit_current_limit_{}".format(channel)] = "32760 ma\n"
    return write(root, files)


def orin_nano(root, release="4.3", major=36, package="6.2+b77", mode=2):
    """A Jetson Orin Nano 8 GB under L4T 36 or later. Returns root as a str."""
    files = {
        "etc/nv_tegra_release": "# R{} (release), REVISION: {}, GCID: 38968081, BOARD: generic, EABI: aarch64, "
        "DATE: Wed Jan  8 01:49:37 UTC 2025\n# KERNEL_VARIANT: oot\n".format(major, release),
        "etc/nvpmodel.conf": ORIN_MODES,
        "var/lib/nvpmodel/status": "pmode:{:04d} fmode:cool".format(mode),
        "var/lib/dpkg/status": STATUS.format(package),
        "proc/device-tree/model": "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0",
        "proc/device-tree/compatible": "nvidia,p3768-0000+p3767-0005-super\0nvidia,p3767-0005\0nvidia,tegra234\0",
        "proc/meminfo": MEMINFO.format(7802940, 3901456),
        "sys/class/hwmon/hwmon0/name": "pwmfan\n",
        "sys/class/hwmon/hwmon0/pwm1": "65\n",
        "sys/class/hwmon/hwmon1/name": "ina3221\n",
        "sys/class/hwmon/hwmon1/in7_label": "sum of shunt voltages\n",
        "sys/class/hwmon/hwmon3/name": "soctherm_oc\n",
    }
    files.update(cpus([1728000] * 6))
    files.update(gpu("17000000.gpu", 1020000000, 650))
    files.update(
        thermal(
            [("cpu-thermal", 52343), ("gpu-thermal", 51093), ("cv0-thermal", ""), ("tj-thermal", 52343)],
            [("pwm-fan", 1), ("hot-surface-alert", 1), ("cpufreq-cpu0", 0), ("devfreq-17000000.gpu", 0)],
        )
    )
    for channel, (rail, volt, ampere) in enumerate(
        [("VDD_IN", 5016, 1880), ("VDD_CPU_GPU_CV", 5016, 616), ("NC", 0, 0)]
    ):
        base = "sys/class/hwmon/hwmon1/"
        files[base + "in{}_label".format(channel + 1)] = rail + "\n"
        files[base + "in{}_input".format(channel + 1)] = "{}\n".format(volt)
        files[base + "curr{}_input".format(channel + 1)] = "{}\n".format(ampere)
        for alarm in ("crit", "max"):
            files[base + "curr{}_{}_alarm".format(channel + 1, alarm)] = "0\n"
    for event in (1, 2, 3):
        files["sys/class/hwmon/hwmon3/oc{}_event_cnt".format(event)] = "0\n"
    return write(root, files)
